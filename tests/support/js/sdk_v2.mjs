// A program that uses the second generation of @opencode-ai/sdk: node sdk_v2.mjs URL DIRECTORY [AUTHORIZATION].
// Prints one JSON object: what each call gave, and the events of its session.
import { createOpencodeClient } from "@opencode-ai/sdk/v2/client"

const [baseUrl, directory, authorization] = process.argv.slice(2)
const client = createOpencodeClient({ baseUrl, directory, headers: authorization ? { authorization } : {} })
const question = { question: "Which colour?", header: "Colour", options: [{ label: "Red", description: "warm" }, { label: "Blue", description: "cold" }] }
const ask = `q [[tool question ${JSON.stringify({ questions: [question] })}]]`
const touch = '[[tool bash {"command":"touch made.txt","description":"Touch"}]]'
const text = (value) => [{ type: "text", text: value }]
const given = async (call) => {
  const { data, error, response } = await call
  return { status: response.status, data, error }
}

const controller = new AbortController()
const { stream } = await client.event.subscribe({}, { signal: controller.signal })
const events = []
const waiting = []
const until = (type) => new Promise((resolve) => waiting.push({ type, resolve }))
const listening = (async () => {
  for await (const event of stream) {
    events.push(event)
    for (const waiter of waiting.filter((waiter) => waiter.type === event.type)) {
      waiting.splice(waiting.indexOf(waiter), 1)
      waiter.resolve(event.properties)
    }
  }
})()

const results = {}
results.create = await given(client.session.create({ title: "by sdk v2" }))
const sessionID = results.create.data.id
results.prompt = await given(client.session.prompt({ sessionID, parts: text("say hello") }))

const asked = until("question.asked")
const answer = client.session.prompt({ sessionID, parts: text(ask) })
const requestID = (await asked).id
results.questions = await given(client.question.list())
results.reply = await given(client.question.reply({ requestID, answers: [["Blue"]] }))
results.asked = await given(answer)

const wanted = until("permission.asked")
const idle = until("session.idle")
results.async = await given(client.session.promptAsync({ sessionID, parts: text(`touch ${touch}`) }))
const permission = (await wanted).id
results.permissions = await given(client.permission.list())
results.permit = await given(client.permission.reply({ requestID: permission, reply: "once" }))
await idle

results.messages = await given(client.session.messages({ sessionID }))
results.message = await given(client.session.message({ sessionID, messageID: results.prompt.data.info.id }))
results.children = await given(client.session.children({ sessionID }))
results.todo = await given(client.session.todo({ sessionID }))
results.fork = await given(client.session.fork({ sessionID }))
results.list = await given(client.session.list())
results.status = await given(client.session.status())
results.config = await given(client.config.get())
results.providers = await given(client.config.providers())
results.provider = await given(client.provider.list())
results.agents = await given(client.app.agents())
results.commands = await given(client.command.list())
results.path = await given(client.path.get())
results.project = await given(client.project.current())
results.health = await given(client.global.health())
results.unknown = await given(client.session.get({ sessionID: "ses_000000000000aaaaaaaaaaaaaa" }))
results.missing = await given(client.question.reply({ requestID: "que_000000000000aaaaaaaaaaaaaa", answers: [["Red"]] }))
results.abort = await given(client.session.abort({ sessionID }))
results.remove = await given(client.session.delete({ sessionID }))
controller.abort()
await listening
results.events = events.filter((event) => event.properties.sessionID === sessionID).map((event) => event.type)
console.log(JSON.stringify(results))
