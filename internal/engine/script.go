package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"slipway/internal/expr"
	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/state"
)

// scriptOptions say what a script gets besides the inputs.
type scriptOptions struct {
	outputs    bool           // OUTPUT_*
	errand     map[string]any // the inputs of an errand, with INPUT_OUTPUT_* too
	previous   map[string]any // INPUT_PREVIOUS_*, from the run before; nil if there was none
	previousOf map[string]any // INPUT_PREVIOUS_OUTPUT_*
	file       map[string]any // what the outputs file holds at the start; nil for no file
	repeatable bool
	stage      *release.ExecStage // what to run; nil for the release's script of that step
}

// Bounds on the environment of a script and on one variable or argument, in bytes. The system refuses more, in words
// that nobody understands.
const (
	maxEnv  = 1 << 20
	maxWord = 128<<10 - 1
)

// script runs the script of a step. It returns what the script has written to the outputs file; nil if there is no
// script.
func (r *run) script(ctx context.Context, n *node, step string, o scriptOptions) (map[string]any, error) {
	stage := o.stage
	if stage == nil {
		stage = n.m.Stage(step)
	}
	if stage.Empty() {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	argv, name, err := r.argv(n, step, stage)
	if err != nil {
		return nil, err
	}
	env, err := r.environment(n, o)
	if err != nil {
		return nil, err
	}
	r.hideStored(n.m, n.state())
	if err := r.prepareOutputs(n, o.file); err != nil {
		return nil, fmt.Errorf("prepare the outputs file of the %s script: %w", step, err)
	}
	r.log(LevelInfo, n.stage+".step", fmt.Sprintf("Running %s of %s.", name, n.label()), n.values())
	result, err := r.Scripts.RunScript(ctx, Script{
		Key: r.key(n, step), Step: step, Release: n.m.ID(), Deployment: state.FormatPath(n.path), Repeatable: o.repeatable,
		Dir: r.dirOf(n), Argv: argv, Env: env, OutputsFile: outputsFile,
	})
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return nil, &Failure{Reason: ReasonCancelled, Message: fmt.Sprintf("%s of %s was cancelled", name, n.label()), Err: err}
		}
		return nil, &Failure{Reason: ReasonScript, Message: fmt.Sprintf("%s of %s: %s", name, n.label(), err), Err: err}
	}
	if result.ExitCode != 0 {
		return nil, &Failure{Reason: ReasonScript, ExitCode: result.ExitCode,
			Message: fmt.Sprintf("%s of %s exited with status %d", name, n.label(), result.ExitCode)}
	}
	return result.Outputs, nil
}

// argv makes the command line of a step and the name that people know it by. Expressions are evaluated word by word, so
// whatever a value holds, it stays one argument and is not read by a shell.
func (r *run) argv(n *node, step string, s *release.ExecStage) (argv []string, name string, err error) {
	switch {
	case s.Inline != "":
		file := path.Join(metaDir, "inline-"+strings.ReplaceAll(step, ".", "-")+".sh")
		if err := r.write(path.Join(n.rel, file), []byte(s.Inline), 0o644); err != nil {
			return nil, "", fmt.Errorf("write the inline script of %s: %w", step, err)
		}
		return []string{"sh", file}, fmt.Sprintf("the inline script '%s'", step), nil
	case s.Cmd != "":
		argv, err = r.words(n, step, append([]string{s.Cmd}, s.Args...))
		if err != nil {
			return nil, "", err
		}
		if argv[0] == "" {
			return nil, "", failf(ReasonMissing, "the command of '%s' of %s is empty", step, n.label())
		}
		return argv, "command " + argv[0], nil
	}
	return r.scriptLine(n, step, s.Script)
}

// shellCharacters mean something to a shell. A script whose text has none of them is run without parsing it as one.
const shellCharacters = "$`\\;&|<>()*?[]{}~#!\n"

// scriptLine makes the command line for a script of the package. What the author has written behind the file is shell
// text, as it always was; expressions in it and the outputs file come as parameters, so that the shell reads no value.
func (r *run) scriptLine(n *node, step, text string) (argv []string, name string, err error) {
	split, err := plan.Split(text)
	if err != nil {
		return nil, "", failf(ReasonPlan, "the script of '%s' of %s: %s", step, n.label(), err)
	}
	scope := r.scope(n)
	known := func(variable string) bool { return scope.Variables[variable] != nil }
	var params []string
	line, simple := `"$0"`, true
	for i, word := range split {
		value := word.Text
		if i == 0 && word.Expression || plan.OwnExpression(word.Raw, known) {
			evaluated, err := r.words(n, step, []string{word.Raw})
			if err != nil {
				return nil, "", err
			}
			value = evaluated[0]
		} else if i > 0 && strings.ContainsAny(word.Raw, shellCharacters) {
			line, simple = line+" "+word.Raw, false
			continue
		}
		params = append(params, value)
		if i > 0 {
			line += fmt.Sprintf(` "${%d}"`, len(params)-1)
		}
	}
	file := path.Clean(params[0])
	if !release.SafePath(params[0]) {
		return nil, "", failf(ReasonMissing, "the script %q of %s is not in its package", params[0], n.label())
	}
	where := path.Join(n.rel, file)
	info, err := r.root.Stat(where)
	if err != nil || !info.Mode().IsRegular() {
		return nil, "", failf(ReasonMissing, "missing script %s of %s", file, n.label())
	}
	if info.Mode().Perm()&0o111 == 0 {
		if err := r.root.Chmod(where, info.Mode().Perm()|0o111); err != nil {
			return nil, "", fmt.Errorf("make the script %s executable: %w", file, err)
		}
	}
	// The shell also runs files that have no "#!" line, which the system alone refuses.
	params[0] = "./" + file
	params = append(params, outputsFile)
	if line += fmt.Sprintf(` "${%d}"`, len(params)-1); simple {
		line = `exec "$0" "$@"`
	}
	return append([]string{"sh", "-c", line}, params...), "script " + file, nil
}

func (r *run) words(n *node, step string, words []string) ([]string, error) {
	scope := r.scope(n)
	out := make([]string, len(words))
	for i, word := range words {
		value, err := expr.Evaluate(word, scope)
		if err != nil {
			return nil, failf(ReasonPlan, "the script of '%s' of %s: %s", step, n.label(), err)
		}
		out[i] = expr.Encode(value)
		if strings.ContainsRune(out[i], 0) {
			return nil, failf(ReasonInput, "an argument of '%s' of %s holds a NUL character", step, n.label())
		}
		if len(out[i]) > maxWord {
			return nil, failf(ReasonInput, "an argument of '%s' of %s is too large: %d bytes", step, n.label(), len(out[i]))
		}
	}
	return out, nil
}

// environment makes the variables of the script contract, sorted by name.
func (r *run) environment(n *node, o scriptOptions) ([]string, error) {
	env := map[string]string{
		"ESCAPE_PLATFORM": runtime.GOOS, "ESCAPE_ARCH": runtime.GOARCH, "PYTHONUNBUFFERED": "1",
	}
	put := func(prefix string, values map[string]any) {
		for id, value := range values {
			env[prefix+id] = expr.Encode(value)
		}
	}
	put("INPUT_PREVIOUS_OUTPUT_", o.previousOf)
	put("INPUT_PREVIOUS_", o.previous)
	put("INPUT_", n.inputs)
	for key, value := range n.m.Metadata {
		env["INPUT_"+metadataPrefix+key] = value
	}
	if o.outputs {
		put("OUTPUT_", n.outputs)
	}
	if o.errand != nil {
		put("INPUT_OUTPUT_", n.outputs)
		put("INPUT_", o.errand)
	}
	list := make([]string, 0, len(env))
	size := 0
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if strings.ContainsAny(name, "=\x00") {
			return nil, failf(ReasonInput, "%q of %s cannot be the name of an environment variable", name, n.label())
		}
		if strings.ContainsRune(env[name], 0) {
			return nil, failf(ReasonInput, "the value for %s of %s holds a NUL character", name, n.label())
		}
		if len(name)+len(env[name])+1 > maxWord {
			return nil, failf(ReasonInput, "the value for %s of %s is too large for the environment of a script: %d bytes", name, n.label(), len(env[name]))
		}
		list = append(list, name+"="+env[name])
		size += len(name) + len(env[name]) + 2
	}
	if size > maxEnv {
		return nil, failf(ReasonInput, "the inputs and outputs of %s are too large for the environment of a script: %d bytes", n.label(), size)
	}
	return list, nil
}

// prepareOutputs writes the outputs file that a script finds; without values there is none.
func (r *run) prepareOutputs(n *node, values map[string]any) error {
	name := path.Join(n.rel, outputsFile)
	if values == nil {
		if err := r.mkdir(path.Dir(name)); err != nil {
			return err
		}
		return r.root.RemoveAll(name)
	}
	data, err := json.Marshal(values)
	if err != nil {
		return err
	}
	return r.write(name, data, 0o600)
}

// maxOutputs bounds the outputs file in bytes.
const maxOutputs = 1 << 20

// ReadOutputs reads the outputs file of a script that has ended; runners call it with the script's Dir and OutputsFile.
// A file that is not there, or is empty, gives no outputs. The file belongs to the script, which may have put anything
// there: links that leave the folder, pipes and devices are refused, and the size is bounded. Errors are sentences for
// people.
func ReadOutputs(dir, file string) (map[string]any, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of the script is gone: %w", err)
	}
	defer root.Close()
	file = filepath.ToSlash(file)
	opened, err := openRegular(root, file)
	if errors.Is(err, os.ErrNotExist) {
		return map[string]any{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the outputs file %s cannot be read: %w", file, err)
	}
	defer opened.Close()
	return decodeOutputs(file, opened)
}
