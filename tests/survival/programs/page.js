// What a page of the server's own origin does: each function gives a promise of the answer's JSON.

const post = (path, body) =>
  fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body })

const byFetch = async (session, body, tries) => {
  for (let tried = 0; tried < tries; tried++) {
    try {
      const answer = JSON.parse(await (await post(`/session/${session}/message`, body)).text())
      if (answer.info) return JSON.stringify(answer)
    } catch (lost) {}
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

// Puts the answer together from the events of a directory; connecting again is the browser's own affair.
const byEvents = (session, body, directory) =>
  new Promise((resolve) => {
    const infos = {}
    const parts = {}
    const events = new EventSource(`/event?directory=${encodeURIComponent(directory)}`)
    events.onmessage = (message) => {
      const { type, properties } = JSON.parse(message.data)
      if (type === "message.updated" && properties.info.sessionID === session) infos[properties.info.id] = properties.info
      if (type === "message.part.updated" && properties.part.sessionID === session)
        parts[properties.part.id] = properties.part
      if (type !== "session.idle" || properties.sessionID !== session) return
      const info = Object.values(infos).findLast((info) => info.role === "assistant")
      if (!info) return
      events.close()
      const own = Object.values(parts).filter((part) => part.messageID === info.id)
      resolve(JSON.stringify({ info, parts: own }))
    }
    // A stream that is held back never opens: the prompt does not wait for it for ever.
    const opened = new Promise((resolve) => {
      events.onopen = resolve
      setTimeout(resolve, 1000)
    })
    opened.then(() => post(`/session/${session}/prompt_async`, body))
  })
