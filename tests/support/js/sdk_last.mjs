// A program that stops listening as soon as it has its answer: node sdk_last.mjs SERVER DIRECTORY TURNS PROMPT.
// Prints one JSON object: of how many turns it had heard the end when it had the answer.
const [server, directory, turns, text] = process.argv.slice(2)
const { createOpencodeClient } = await import("@opencode-ai/sdk/client")

const client = createOpencodeClient({ baseUrl: server, directory })
let heard = 0
for (let turn = 0; turn < Number(turns); turn++) {
  const session = (await client.session.create({ body: {} })).data
  const controller = new AbortController()
  const { stream } = await client.event.subscribe({ signal: controller.signal })
  let over = false
  const connected = new Promise((resolve) => {
    const listen = async () => {
      for await (const event of stream) {
        if (event.type === "server.connected") resolve()
        if (event.type === "session.idle" && event.properties.sessionID === session.id) over = true
      }
    }
    listen().catch(() => {})
  })
  await connected
  await client.session.prompt({ path: { id: session.id }, body: { parts: [{ type: "text", text }] } })
  if (over) heard += 1
  controller.abort()
}
console.log(JSON.stringify({ heard }))
process.exit(0)
