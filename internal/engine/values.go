package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"slipway/internal/expr"
	"slipway/internal/release"
	"slipway/internal/state"
)

// metadataPrefix marks the release's metadata among the calculated inputs.
const metadataPrefix = "METADATA_"

// userInputs are the inputs that people and parents have given: those of the environment, then of the deployments from
// the root down, then of the stage. Later ones win.
func (r *run) userInputs(n *node) map[string]any {
	inputs := maps.Clone(r.env.Inputs)
	if inputs == nil {
		inputs = map[string]any{}
	}
	var chain []*node
	for at := n; at != nil; at = at.parent {
		chain = append(chain, at)
	}
	for _, at := range slices.Backward(chain) {
		maps.Copy(inputs, at.deployment.Inputs)
	}
	maps.Copy(inputs, n.state().Inputs)
	return inputs
}

// evaluateInputs sets the node's inputs of one kind: those that are known before dependencies are deployed, or the rest.
func (r *run) evaluateInputs(n *node, beforeDependencies bool) error {
	given := r.userInputs(n)
	for _, v := range n.m.Inputs {
		if !release.InScope(v.Scopes, n.stage) || v.EvalBeforeDependencies != beforeDependencies {
			continue
		}
		value, err := r.evaluateInput(n, v, given)
		if err != nil {
			return err
		}
		n.inputs[v.ID] = value
		r.hide(v, value)
	}
	return nil
}

func (r *run) evaluateInput(n *node, v *release.Variable, given map[string]any) (any, error) {
	if value, ok := r.magic(n, v); ok {
		return value, nil
	}
	value, ok := given[v.ID]
	if !ok || value == nil {
		if !v.HasDefault() {
			return nil, failf(ReasonInput, "missing value for the input '%s' of %s", v.ID, n.label())
		}
		evaluated, err := expr.EvaluateAny(v.Default, r.scope(n))
		if err != nil {
			return nil, failf(ReasonInput, "the default of the input '%s' of %s: %s", v.ID, n.label(), err)
		}
		value = evaluated
	}
	parsed, err := v.Parse(value)
	if err != nil {
		return nil, failf(ReasonInput, "the input '%s' of %s: the %s", v.ID, n.label(), err)
	}
	return parsed, r.checkItems(n, v, parsed)
}

// magic gives the value of a variable that the platform fills in.
func (r *run) magic(n *node, v *release.Variable) (any, bool) {
	switch v.Type {
	case release.TypeVersion:
		return n.m.Version, true
	case release.TypeClient:
		return r.Client, true
	case release.TypeProject:
		return r.target.Project, true
	case release.TypeDeployment:
		return n.path[0], true
	case release.TypeEnvironment:
		return r.env.Name, true
	}
	return nil, false
}

func (r *run) checkItems(n *node, v *release.Variable, value any) error {
	if v.Items == nil {
		return nil
	}
	allowed, err := expr.EvaluateAny(v.Items, r.scope(n))
	if err != nil {
		return failf(ReasonInput, "the items of '%s' of %s: %s", v.ID, n.label(), err)
	}
	items, ok := allowed.([]any)
	if !ok {
		return failf(ReasonInput, "the items of '%s' of %s are not a list", v.ID, n.label())
	}
	values := []any{value}
	if list, isList := value.([]any); isList {
		values = list
	}
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = expr.Encode(item)
	}
	for _, one := range values {
		if !slices.Contains(texts, expr.Encode(one)) {
			return failf(ReasonInput, "the value of '%s' of %s is not one of its items: %q", v.ID, n.label(), texts)
		}
	}
	return nil
}

// hide reports the value of a sensitive variable, so that it can be masked wherever it is printed.
func (r *run) hide(v *release.Variable, value any) {
	if !v.Sensitive || value == nil {
		return
	}
	if list, ok := value.([]any); ok {
		for _, item := range list {
			r.secret(expr.Encode(item))
		}
	}
	if _, isFlag := value.(bool); !isFlag { // masking every 1 and 0 would hide nothing and spoil everything
		r.secret(expr.Encode(value))
	}
}

// hideStored reports sensitive values that the state already holds.
func (r *run) hideStored(m *release.Metadata, stage *state.Stage) {
	if stage == nil {
		return
	}
	for _, v := range m.Inputs {
		r.hide(v, stage.CalculatedInputs[v.ID])
		r.hide(v, stage.Inputs[v.ID])
	}
	for _, v := range m.Outputs {
		r.hide(v, stage.CalculatedOutputs[v.ID])
	}
}

// calculatedInputs are the inputs as they are kept in the state: with the release's metadata.
func calculatedInputs(n *node) map[string]any {
	inputs := maps.Clone(n.inputs)
	for key, value := range n.m.Metadata {
		inputs[metadataPrefix+key] = value
	}
	return inputs
}

// finishOutputs turns what the scripts have put out into the declared outputs.
func (r *run) finishOutputs(n *node) error {
	finished := map[string]any{}
	for _, v := range n.m.Outputs {
		if !release.InScope(v.Scopes, n.stage) {
			continue
		}
		value, ok := n.outputs[v.ID]
		if magic, isMagic := r.magic(n, v); isMagic {
			value, ok = magic, true
		}
		if !ok {
			if !v.HasDefault() {
				return failf(ReasonOutput, "missing value for the output '%s' of %s: the scripts did not write it to %s and it has no default",
					v.ID, n.label(), outputsFile)
			}
			evaluated, err := expr.EvaluateAny(v.Default, r.scope(n))
			if err != nil {
				return failf(ReasonOutput, "the default of the output '%s' of %s: %s", v.ID, n.label(), err)
			}
			value = evaluated
		}
		parsed, err := v.Parse(value)
		if err != nil {
			return failf(ReasonOutput, "the output '%s' of %s: the %s", v.ID, n.label(), err)
		}
		if err := r.checkItems(n, v, parsed); err != nil {
			return err
		}
		finished[v.ID] = parsed
		r.hide(v, parsed)
	}
	for _, id := range slices.Sorted(maps.Keys(n.outputs)) {
		if _, declared := finished[id]; !declared {
			r.log(LevelWarn, "outputs.undeclared", fmt.Sprintf("The output '%s' of %s is not declared in its plan and is left out.", id, n.label()), n.values())
		}
	}
	n.outputs = finished
	return nil
}

// takeOutputs merges the outputs that a script has written into those that were there. A script writes texts only;
// another value is accepted where it is what the script was given.
func (r *run) takeOutputs(n *node, step string, before, after map[string]any) error {
	for _, id := range slices.Sorted(maps.Keys(after)) {
		value := release.PlainValue(after[id])
		if _, isText := value.(string); !isText {
			if old, ok := before[id]; !ok || expr.Encode(old) != expr.Encode(value) {
				return failf(ReasonOutput, "the %s script of %s wrote the output '%s' with a value that is not a text: outputs are texts in %s",
					step, n.label(), id, outputsFile)
			}
		}
		for _, v := range n.m.Outputs {
			if v.ID == id {
				r.hide(v, value)
			}
		}
		n.outputs[id] = value
	}
	return nil
}

// load fills a node for a step that works on what is already built or deployed.
func (r *run) load(ctx context.Context, n *node) error {
	n.inputs, n.outputs = map[string]any{}, map[string]any{}
	for id, value := range n.state().CalculatedInputs {
		n.inputs[id] = release.PlainValue(value)
	}
	for id, value := range n.state().CalculatedOutputs {
		n.outputs[id] = release.PlainValue(value)
	}
	r.hideStored(n.m, n.state())
	return r.resolveProviders(ctx, n)
}
