// A program that calls every method of @opencode-ai/sdk once: node sdk_all.mjs URL DIRECTORY GENERATION (1 or 2).
// Prints one JSON object: by method, the requests that it made and what they were answered.
const [baseUrl, directory, generation] = process.argv.slice(2)
const { createOpencodeClient } = await import(generation === "1" ? "@opencode-ai/sdk/client" : "@opencode-ai/sdk/v2/client")

const results = {}
let calling = ""
const endless = (path, type) => type.startsWith("text/event-stream") || path === "/tui/control/next"

const plainly = globalThis.fetch
// Notes each request and its answer. Of an answer without an end it takes the head only.
const noting = async (input, init) => {
  const request = new Request(input, init)
  const response = await plainly(request)
  const path = new URL(request.url).pathname
  const type = response.headers.get("content-type") ?? ""
  const note = { method: request.method, path, status: response.status, type }
  results[calling].push(note)
  if (endless(path, type)) {
    await response.body.cancel()
    return new Response(path.startsWith("/tui") ? "{}" : "data: {}\n\n", { headers: { "content-type": type } })
  }
  note.body = await response.clone().text()
  return response
}

globalThis.fetch = noting // streams use no other
const client = createOpencodeClient({ baseUrl, directory, fetch: noting })
calling = "setup"
results.setup = []
const made = (await client.session.create(generation === "1" ? { body: {} } : {})).data
const child = (await client.session.create(generation === "1" ? { body: {} } : {})).data
const say = { parts: [{ type: "text", text: "say hello" }] }
const answer = (await client.session.prompt(generation === "1" ? { path: { id: made.id }, body: say } : { sessionID: made.id, ...say })).data

const TOKEN = "000000000000aaaaaaaaaaaaaa"
const ids = {
  id: made.id, sessionID: made.id, messageID: answer.info.id, partID: answer.parts[1].id, permissionID: `per_${TOKEN}`,
  requestID: `per_${TOKEN}`, ptyID: `pty_${TOKEN}`, projectID: made.projectID, providerID: "lab", name: "nothing",
  integrationID: "nothing", attemptID: "nothing", credentialID: "nothing",
}
const query = { pattern: "def", query: "calc", path: "calc.py", provider: "lab", model: "scripted", mode: "git" }
const body = {
  ...say, agent: "build", command: "init", arguments: "", providerID: "lab", modelID: "scripted", text: "hi", message: "note",
  variant: "info", service: "walk", level: "info", response: "once", reply: "once", answers: [["Red"]], title: "renamed",
  patch: "no patch", target: "1.0.0", method: 0, directory, events: [], type: "tui.prompt.append", properties: { text: "hi" },
  sessionID: made.id, key: "none", label: "none", prompt: { text: "hi" }, strategy: "none", force: false,
}
const model = { providerID: "lab", id: "scripted" }
const special = {
  "file.list": { path: "." },
  "v2.fs.list": { path: "." },
  "v2.fs.read": { path: "calc.py" },
  "session.shell": { command: "true" },
  "session.command": { model: "lab/scripted", parts: [], variant: undefined },
  "session.init": { messageID: `msg_${TOKEN}` },
  "session.delete": { id: child.id, sessionID: child.id },
  "session.prompt": { model: undefined, variant: undefined },
  "session.promptAsync": { model: undefined, variant: undefined },
  "session.revert": { messageID: `msg_${TOKEN}` },
  "session.create": { agent: undefined },
  "v2.session.create": { id: undefined, model, location: { directory } },
  "v2.session.switchModel": { model },
  "part.update": { part: answer.parts[1] },
}
const asks = (name) => (name.includes("question") ? { requestID: `que_${TOKEN}` } : {})
const LAST = ["session.deleteMessage", "part.delete", "session.revert", "session.unrevert", "session.delete", "global.dispose", "instance.dispose"]

const args = (name) => {
  if (/event/i.test(name)) return { sseMaxRetryAttempts: 1, sessionID: made.id }
  const own = { ...asks(name), ...special[name] }
  if (generation === "2") {
    const chosen = name.includes("session.prompt") ? {} : name.startsWith("session") ? { messageID: undefined } : {}
    const needs = /message|Message|part\.|revert|fork|init/.test(name) ? {} : chosen
    return { ...query, model: undefined, ...body, ...ids, id: undefined, ...needs, ...(name.includes("rompt") ? { messageID: undefined } : {}), ...own }
  }
  const { id, sessionID, requestID, messageID, ...rest } = own
  return {
    path: { ...ids, ...(id ? { id } : {}) },
    query: { ...query, ...rest },
    body: { ...body, ...(messageID ? { messageID } : {}), ...rest },
  }
}

const methods = []
const walk = (object, prefix, seen) => {
  for (let level = Object.getPrototypeOf(object); level && level !== Object.prototype; level = Object.getPrototypeOf(level)) {
    for (const [name, found] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (name === "constructor" || name.startsWith("_") || name === "client") continue
      const value = object[name]
      if (typeof value === "function") methods.push([`${prefix}${name}`, value.bind(object)])
      else if (value && typeof value === "object" && !seen.includes(name)) walk(value, `${prefix}${name}.`, [...seen, name])
    }
  }
  if (generation === "1")
    for (const [name, value] of Object.entries(object))
      if (value && typeof value === "object" && !["client", "_client"].includes(name) && !seen.includes(name)) walk(value, `${prefix}${name}.`, [...seen, name])
}
walk(client, "", [])
const rank = ([name]) => LAST.indexOf(name)
methods.sort((one, other) => rank(one) - rank(other))
for (const [name, method] of methods) {
  calling = name
  results[name] = []
  try {
    const { body: _, ...bare } = args(name)
    const call = (given) => method(given, { sseMaxRetryAttempts: 1 })
    // A GET with a body cannot be sent, and what takes no parameters takes them for how to ask: then without.
    const { stream } = (await call(args(name)).catch(() => call(generation === "1" ? bare : undefined))) ?? {}
    if (stream) await stream.next()
  } catch (error) {
    results[name].push({ thrown: String(error) })
  }
}
console.log(JSON.stringify(results))
