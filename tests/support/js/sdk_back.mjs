// A program that listens while its server is stopped and started again: node sdk_back.mjs URL DIRECTORY GENERATION.
// It makes a session "listening GENERATION" as soon as it does. Prints the titles that it heard of, until "last".
const [baseUrl, directory, generation] = process.argv.slice(2)
const first = generation === "1"
const { createOpencodeClient } = await import(first ? "@opencode-ai/sdk/client" : "@opencode-ai/sdk/v2/client")

const client = createOpencodeClient({ baseUrl, directory })
const controller = new AbortController()
const options = { signal: controller.signal, sseDefaultRetryDelay: 50, sseMaxRetryDelay: 50 }
const { stream } = await (first ? client.event.subscribe(options) : client.event.subscribe({}, options))
const title = `listening ${generation}`
const heard = []
let connected = 0
for await (const event of stream) {
  if (event.type === "server.connected" && ++connected === 1) await client.session.create(first ? { body: { title } } : { title })
  if (event.type === "session.updated") heard.push(event.properties.info.title)
  if (heard.at(-1) === "last") break
}
controller.abort()
console.log(JSON.stringify({ heard, connected }))
