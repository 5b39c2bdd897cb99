// All that a page can try against the server at `target`: {name: what the page got}, where nothing is "".
// The first word of a name is the kind of attempt.
async (target) => {
  const got = {};
  const left = [];
  const attempt = (name, work) => {
    const url = `${target}/try/${name}`;
    const never = new Promise((done) => setTimeout(done, 10_000, ""));
    const tried = Promise.race([new Promise((done, failed) => work(url, done, failed)), never]);
    left.push(tried.then((told) => (got[name] = told ?? ""), () => (got[name] = "")));
  };
  const read = async (answer) => (answer.type === "opaque" ? "" : `${answer.status} ${await answer.text()}`);
  const asked = (url, options) => fetch(url, { credentials: "include", cache: "no-store", ...options }).then(read);
  const textOf = (frame) => {
    try {
      return frame.contentDocument.body.innerText;
    } catch {
      return "";
    }
  };
  const added = (tag, attributes) => document.body.appendChild(Object.assign(document.createElement(tag), attributes));

  const bodies = {
    none: [],
    untyped: [new Blob(["{}"])],
    plain: ["{}"],
    json: [new Blob(["{}"], { type: "application/json" })],
    form: [new URLSearchParams({ "{}": "" })],
    parts: [new FormData()],
  };
  for (const method of ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
    for (const mode of ["cors", "no-cors", "same-origin"])
      for (const [kind, [body]] of Object.entries(bodies)) {
        if (body && ["GET", "HEAD"].includes(method)) continue;
        attempt(`fetch-${method}-${mode}-${kind}`, (url, done, failed) =>
          asked(url, { method, mode, body }).then(done, failed));
      }
  attempt("header", (url, done, failed) =>
    asked(url, { method: "POST", mode: "no-cors", headers: { "x-http-method-override": "DELETE" } }).then(done, failed));
  attempt("redirected", (url, done, failed) =>
    asked(`/away?${encodeURIComponent(url)}`, { method: "POST", mode: "no-cors", body: "{}" }).then(done, failed));
  attempt("xhr", (url, done) => {
    const asking = new XMLHttpRequest();
    asking.open("POST", url);
    asking.withCredentials = true;
    asking.onloadend = () => done(asking.status ? `${asking.status} ${asking.responseText}` : "");
    asking.send("{}");
  });

  for (const method of ["get", "post"])
    for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
      attempt(`form-${method}-${enctype.replace("/", "-")}`, (url, done) => {
        const name = `${method}${enctype}`;
        const frame = added("iframe", { name });
        const form = added("form", { action: url, method, enctype, target: name });
        form.append(Object.assign(document.createElement("textarea"), { name: '{"parts":"', value: '"}' }));
        frame.onload = () => done(textOf(frame));
        form.submit();
      });
  attempt("sandboxed", (url, done) => {
    addEventListener("message", () => done(""), { once: true });
    const asking = `fetch("${url}", {method: "POST", mode: "no-cors", credentials: "include", body: "{}"})`;
    const srcdoc = `<script>${asking}.finally(() => parent.postMessage("", "*"))</script>`;
    added("iframe", { sandbox: "allow-scripts", srcdoc });
  });
  attempt("frame", (url, done) => {
    const frame = added("iframe", { src: url });
    frame.onload = () => done(textOf(frame));
  });

  const shown = { img: "src", script: "src", link: "href", audio: "src", video: "src" };
  for (const [tag, attribute] of Object.entries(shown))
    attempt(tag, (url, done) => {
      const loaded = () => done("loaded");
      added(tag, { rel: "stylesheet", onload: loaded, onloadeddata: loaded, onerror: () => done(""), [attribute]: url });
    });
  attempt("import", (url, done, failed) => import(url).then(() => done("loaded"), failed));

  attempt("websocket", (url, done) => {
    const socket = new WebSocket(url.replace("http", "ws"));
    socket.onopen = () => done("open");
    socket.onerror = () => done("");
  });
  attempt("events", (url, done) => {
    const events = new EventSource(url, { withCredentials: true });
    events.onopen = () => done("open");
    events.onerror = () => {
      events.close();
      done("");
    };
  });
  for (const kind of ["none", "plain", "json", "form"])
    attempt(`beacon-${kind}`, (url, done) => {
      navigator.sendBeacon(url, bodies[kind][0]);
      done("");
    });

  await Promise.all(left);
  return JSON.stringify(got);
}
