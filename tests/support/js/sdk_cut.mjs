// A program whose stream of events is cut, and comes back by itself: node sdk_cut.mjs PROXY DIRECTORY GENERATION SERVER.
// It listens through PROXY and speaks to SERVER. Prints one JSON object: the sessions that it made and those that it heard of.
const [proxy, directory, generation, server] = process.argv.slice(2)
const first = generation === "1"
const { createOpencodeClient } = await import(first ? "@opencode-ai/sdk/client" : "@opencode-ai/sdk/v2/client")

const speaking = createOpencodeClient({ baseUrl: server, directory })
const listening = createOpencodeClient({ baseUrl: proxy, directory })
const made = []
const make = async () => made.push((await speaking.session.create(first ? { body: {} } : {})).data.id)

const controller = new AbortController()
const options = { signal: controller.signal, sseDefaultRetryDelay: 10, sseMaxRetryDelay: 10 }
const { stream } = await (first ? listening.event.subscribe(options) : listening.event.subscribe({}, options))
const heard = []
let connected = 0
for await (const event of stream) {
  if (event.type === "server.connected") connected += 1
  if (event.type === "session.updated") heard.push(event.properties.sessionID)
  if (heard.length > made.length || (made.length >= 12 && made.every((id) => heard.includes(id)))) break
  // Two at a time: a cut falls between them too.
  if (made.length < 12 && made.every((id) => heard.includes(id))) await Promise.all([make(), make()])
}
controller.abort()
console.log(JSON.stringify({ made: made.sort(), heard: heard.sort(), connected }))
