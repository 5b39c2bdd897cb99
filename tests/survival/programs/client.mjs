// Sends one prompt with Node's fetch or the JavaScript SDK, and again when that fails:
// node client.mjs fetch|sdk NODE_MODULES URL SESSION MESSAGE TEXT TIMER_S TRIES. Prints the answer's JSON.
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const [kind, modules, baseUrl, sessionID, messageID, text, timer, tries] = process.argv.slice(2)
const parts = [{ type: "text", text }]

// Node's fetch is undici; its timers, 300 s each, are those of the dispatcher that the first fetch puts here.
const dispatcher = Symbol.for("undici.globalDispatcher.1")
await fetch("data:,")
const { constructor: Agent } = globalThis[dispatcher]
globalThis[dispatcher] = new Agent({ headersTimeout: timer * 1000, bodyTimeout: timer * 1000 })

const byFetch = async () => {
  const response = await fetch(`${baseUrl}/session/${sessionID}/message`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ messageID, parts }),
  })
  return JSON.parse(await response.text())
}

const bySdk = async () => {
  const { createOpencodeClient } = await import(pathToFileURL(join(modules, "@opencode-ai/sdk/dist/v2/client.js")))
  const { data, error } = await createOpencodeClient({ baseUrl }).session.prompt({ sessionID, messageID, parts })
  if (error) throw error
  return data
}

for (let tried = 0; tried < Number(tries); tried++) {
  try {
    const answer = await (kind === "sdk" ? bySdk() : byFetch())
    if (answer?.info) {
      console.log(JSON.stringify(answer))
      process.exit(0)
    }
    console.error(`no answer: ${JSON.stringify(answer)?.slice(0, 200)}`)
  } catch (error) {
    console.error(`lost: ${error?.cause?.code ?? error?.message ?? JSON.stringify(error)}`)
  }
  await new Promise((resolve) => setTimeout(resolve, 200))
}
process.exit(1)
