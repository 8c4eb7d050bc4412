// npm's `@actions/workflow-parser`, asked as GitHub's editor asks it.

import { register } from "node:module";

// The package imports JSON without saying so, which Node refuses.
const hook = `export const load = (url, context, next) =>
  next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

const { NoOperationTraceWriter, convertWorkflowTemplate, parseWorkflow } = await import("@actions/workflow-parser");
const { TemplateContext, TemplateValidationErrors } = await import("@actions/workflow-parser/templates/template-context");
const { getWorkflowSchema } = await import("@actions/workflow-parser/workflows/workflow-schema");
const { FeatureFlags } = await import("@actions/expressions/features");

/** Returns the messages of everything that is wrong with a workflow. */
export async function errorsOf(name, content) {
  const context = new TemplateContext(new TemplateValidationErrors(), getWorkflowSchema(), new NoOperationTraceWriter());
  context.state.featureFlags = new FeatureFlags({ all: true });
  const parsed = parseWorkflow({ name, content }, context);
  if (parsed.value) await convertWorkflowTemplate(context, parsed.value);
  return context.errors.getErrors().map((error) => error.message);
}
