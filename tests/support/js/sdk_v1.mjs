// A program that uses the first generation of @opencode-ai/sdk against a server: node sdk_v1.mjs URL DIRECTORY [AUTHORIZATION].
// Prints one JSON object: what each call gave, and the events of its session.
import { createOpencodeClient } from "@opencode-ai/sdk/client"

const [baseUrl, directory, authorization] = process.argv.slice(2)
const client = createOpencodeClient({ baseUrl, directory, headers: authorization ? { authorization } : {} })
const touch = '[[tool bash {"command":"touch made.txt","description":"Touch"}]]'
const text = (value) => ({ parts: [{ type: "text", text: value }] })
const given = async (call) => {
  const { data, error, response } = await call
  return { status: response.status, data, error }
}

const controller = new AbortController()
const { stream } = await client.event.subscribe({ signal: controller.signal })
const events = []
let answered = false
const listening = (async () => {
  for await (const event of stream) {
    events.push(event)
    if (event.type === "permission.asked" && !answered) {
      answered = true
      const { id, sessionID } = event.properties
      const path = { id: sessionID, permissionID: id }
      results.permission = await given(client.postSessionIdPermissionsPermissionId({ path, body: { response: "once" } }))
    }
  }
})()

const results = {}
results.create = await given(client.session.create({ body: { title: "by sdk v1" } }))
const path = { id: results.create.data.id }
results.prompt = await given(client.session.prompt({ path, body: text("say hello") }))
results.asked = await given(client.session.prompt({ path, body: text(`touch ${touch}`) }))
results.messages = await given(client.session.messages({ path }))
results.list = await given(client.session.list())
results.update = await given(client.session.update({ path, body: { title: "renamed" } }))
results.status = await given(client.session.status())
results.providers = await given(client.config.providers())
results.agents = await given(client.app.agents())
results.commands = await given(client.command.list())
results.unknown = await given(client.session.get({ path: { id: "ses_000000000000aaaaaaaaaaaaaa" } }))
results.abort = await given(client.session.abort({ path }))
results.remove = await given(client.session.delete({ path }))
controller.abort()
await listening
const session = path.id
results.events = events.filter((event) => event.properties.sessionID === session).map((event) => event.type)
console.log(JSON.stringify(results))
