package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/expr"
	"slipway/internal/release"
)

// scriptSuffixes are the endings of file names that nobody gives a command on the PATH. With them, a missing file is
// told when the plan is compiled and not when the step runs.
var scriptSuffixes = []string{".sh", ".bash", ".py", ".rb", ".pl", ".js"}

// stage turns a script of the plan into what is stored: a text whose first word is a file next to the plan is a script,
// and every other text is a command.
func (c *compiler) stage(field, detail string, s *Script) (*release.ExecStage, error) {
	if s.Text == "" {
		stage := s.Stage
		if stage.Script != "" {
			script, err := c.script(field, detail, stage.Script)
			if err != nil {
				return nil, err
			}
			stage.Script = script
		}
		return &stage, c.checkStage(field, detail, &stage)
	}
	words, err := Words(s.Text)
	if err != nil {
		return nil, c.plan.Error(field, detail, err.Error())
	}
	first := words[0]
	if release.SafePath(first) && !expr.IsExpression(first) {
		if info, err := c.root.Stat(path.Clean(first)); err == nil && info.Mode().IsRegular() {
			script, err := c.script(field, detail, s.Text)
			return &release.ExecStage{Script: script}, err
		}
	}
	missing := strings.HasPrefix(first, ".")
	if !strings.Contains(first, "/") && slices.Contains(scriptSuffixes, path.Ext(first)) {
		missing = true
	}
	if missing {
		return nil, c.plan.Error(field, detail, fmt.Sprintf("missing script %s", first))
	}
	stage := &release.ExecStage{Cmd: first, Args: words[1:]}
	return stage, c.checkStage(field, detail, stage)
}

// script checks that the file of a script is there and remembers it for the package. The text is stored with the
// cleaned path in front.
func (c *compiler) script(field, detail, text string) (string, error) {
	words, err := Words(text)
	if err != nil {
		return "", c.plan.Error(field, detail, err.Error())
	}
	if expr.IsExpression(words[0]) {
		return text, c.checkWords(field, detail, words) // which file it is comes out when it runs
	}
	file := path.Clean(words[0])
	if !release.SafePath(words[0]) {
		return "", c.plan.Error(field, detail, fmt.Sprintf("the script %s is not in the plan's folder", words[0]))
	}
	info, err := c.root.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return "", c.plan.Error(field, detail, fmt.Sprintf("missing script %s", file))
	}
	switch {
	case info.Mode().Perm()&0o100 != 0:
	case c.options.ReadOnly:
		if !slices.Contains(c.result.required, file) { // told once
			c.warn("the script %s is not executable; a run makes it so", file)
		}
	default:
		// The package keeps modes, and whoever unpacks it runs the file directly.
		if err := c.root.Chmod(file, info.Mode().Perm()|0o111); err != nil {
			return "", fmt.Errorf("make the script %s executable: %w", file, err)
		}
	}
	c.result.required = append(c.result.required, file)
	if strings.HasPrefix(text, words[0]) {
		text = file + strings.TrimPrefix(text, words[0])
	}
	// What is no expression is the shell's.
	own := slices.DeleteFunc(words[1:], func(word string) bool { return !OwnExpression(word, c.known) })
	return text, c.checkWords(field, detail, own)
}

// known reports whether a name is a variable that a script can use.
func (c *compiler) known(name string) bool {
	if c.scope.Variables[name] != nil {
		return true
	}
	return slices.ContainsFunc(c.m.Consumes, func(consumer release.Consumer) bool { return consumer.Variable == name })
}

func (c *compiler) checkStage(field, detail string, s *release.ExecStage) error {
	return c.checkWords(field, detail, append([]string{s.Cmd}, s.Args...))
}

// checkWords parses the expressions among words, so that a mistake is found before anything runs.
func (c *compiler) checkWords(field, detail string, words []string) error {
	for _, word := range words {
		if _, err := expr.Parse(word); err != nil {
			return c.plan.Error(field, detail, err.Error())
		}
	}
	return nil
}
