/**
 * What keeps an open debug page as it is on the server.
 *
 * The server sends the page's main part anew and the script changes only what differs, in place, so that the focus, what
 * is open and what is selected stay, and a screen reader hears only of what it was asked to announce. What is received is
 * parsed in a document that runs nothing.
 */

/** The script. It finds where to listen in `data-events` of the body, and has no user's text in it. */
export const script = `
(() => {
  const main = document.querySelector("main"), live = document.getElementById("live")
  const say = (text) => { if (live.textContent !== text) live.textContent = text }
  const keyOf = (node) => node.nodeType === 1 ? node.getAttribute("data-key") : null

  const morph = (from, to) => {
    if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) return from.replaceWith(document.importNode(to, true))
    if (from.nodeType !== 1) { if (from.data !== to.data) from.data = to.data; return }
    for (const { name } of [...from.attributes]) if (name !== "open" && !to.hasAttribute(name)) from.removeAttribute(name)
    for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value)
    const keyed = new Map()
    for (const child of from.childNodes) if (keyOf(child) !== null) keyed.set(keyOf(child), child)
    let at = from.firstChild
    for (const next of [...to.childNodes]) {
      const key = keyOf(next)
      const old = key === null ? (at !== null && keyOf(at) === null ? at : null) : keyed.get(key) ?? null
      if (old === null) { from.insertBefore(document.importNode(next, true), at); continue }
      if (old === at) at = at.nextSibling
      else from.insertBefore(old, at)
      morph(old, next)
    }
    while (at !== null) { const gone = at; at = at.nextSibling; gone.remove() }
  }

  const listen = () => {
    const events = new EventSource(document.body.dataset.events)
    events.addEventListener("page", ({ data }) => {
      morph(main, new DOMParser().parseFromString(data, "text/html").querySelector("main"))
      document.title = main.dataset.title
      say("live")
    })
    events.onerror = () => {
      say("not connected, trying again")
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2000)
    }
  }
  listen()
})()
`
