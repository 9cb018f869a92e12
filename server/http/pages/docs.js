// openapi.json as a page: methods, then messages, each with what the schema says of it.

const REF = "#/components/schemas/";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function link(schema) {
  return element("a", {href: `#${schema}`}, schema);
}

// A field's type in words, with links to messages.
function typeOf(schema) {
  if (schema.$ref) return [link(schema.$ref.slice(REF.length))];
  if (schema.anyOf) return schema.anyOf.flatMap((each, at) => (at ? [" or ", ...typeOf(each)] : typeOf(each)));
  if (schema.type === "array") {
    return Object.keys(schema.items).length ? ["list of ", ...typeOf(schema.items)] : ["nested lists of numbers"];
  }
  if (schema.contentEncoding) return [schema.contentEncoding];
  return [schema.format ?? schema.type ?? "any"];
}

function fields(schema) {
  const list = element("dl");
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const required = schema.required?.includes(name) ? [" ", element("span", {class: "required"}, "(required)")] : [];
    const type = element("span", {class: "type"}, ...typeOf(field));
    list.append(element("dt", {}, element("code", {}, name), " ", type, ...required));
    if (field.description) list.append(element("dd", {}, field.description));
  }
  for (const value of schema.enum ?? []) list.append(element("dt", {}, element("code", {}, value)));
  return list;
}

function example(path, request) {
  const given = (request.required ?? []).map(name => `"${name}": ...`).join(", ");
  return `curl -H 'Content-Type: application/json' -d '{${given}}' ${location.origin}${path}`;
}

function method(path, operation, schemas) {
  const request = operation.requestBody.content["application/json"].schema.$ref.slice(REF.length);
  const [answer] = Object.values(operation.responses[200].content);
  return [
    element("h3", {id: operation.operationId}, `POST ${path}`),
    element("p", {}, operation.description ?? ""),
    element("pre", {tabindex: "0"}, example(path, schemas[request])),
    element("p", {}, "Takes ", link(request), ", gives ", link(answer.schema.$ref.slice(REF.length)), ". ",
      operation.responses[200].description),
  ];
}

function contents(names) {
  return element("ul", {}, ...names.map(name => element("li", {}, link(name))));
}

const answer = await fetch("/openapi.json");
const {info, paths, components: {schemas}} = await answer.json();
const operations = Object.entries(paths).map(([path, {post}]) => [path, post]);
document.getElementById("contents").append(contents(operations.map(([, post]) => post.operationId)));
document.getElementById("description").append(element("p", {}, info.description));
for (const [path, post] of operations) document.getElementById("methods").append(...method(path, post, schemas));
for (const [name, schema] of Object.entries(schemas)) {
  document.getElementById("messages").append(
    element("h3", {id: name}, name), element("p", {}, schema.description ?? ""), fields(schema));
}
if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
