package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/engine"
	"slipway/internal/logs"
	"slipway/internal/release"
)

// resolved is a release that a plan needs, and which one that is.
type resolved struct {
	Release string `json:"release"`
	As      string `json:"as,omitempty"`
	// For is depends or extends.
	For string `json:"for"`
}

func (p *planCommands) previewCommand() *cobra.Command {
	var steps stepFlags
	c := &cobra.Command{
		Use: "preview", Short: "Show what a release of the plan would be, and what a run would do", Args: cobra.NoArgs,
		Long: `Show what a release of the plan would be, and what a run would do, without running anything: the files that would be packed as
they are now (a build may make more), the releases that it needs, and the scripts in their order. With -o json the release's
metadata is in it, as it would be registered.`,
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, out := c.Context(), c.OutOrStdout()
		chosen, err := steps.steps(false)
		if err != nil {
			return err
		}
		inventory, where, err := p.open()
		if err != nil {
			return err
		}
		compiled, err := p.compile(ctx, inventory)
		if err != nil {
			return explain(where, err)
		}
		m := compiled.Metadata
		scripts, err := engine.Outline(ctx, m, chosen, steps.deployment, inventory)
		if err != nil {
			return explain(where, err)
		}
		needs := []resolved{}
		for _, d := range m.Depends {
			needs = append(needs, resolved{Release: d.ReleaseID, As: d.Variable, For: "depends"})
		}
		for _, e := range m.Extends {
			needs = append(needs, resolved{Release: e.ReleaseID, For: "extends"})
		}
		files := sortedKeys(m.Files)
		shown := preview{m.ID().String(), m, files, needs, append([]engine.OutlinedScript{}, scripts...), append([]string{}, compiled.Warnings...)}
		if p.output == "json" {
			return printLine(out, shown)
		}
		for _, warning := range compiled.Warnings {
			fmt.Fprintln(c.ErrOrStderr(), "Warning:", warning)
		}
		return shown.write(out, where)
	}
	steps.flags(c)
	return c
}

// preview is what a release would be, and what a run would do.
type preview struct {
	Release      string                  `json:"release"`
	Metadata     *release.Metadata       `json:"metadata"`
	Files        []string                `json:"files"`
	Dependencies []resolved              `json:"dependencies"`
	Scripts      []engine.OutlinedScript `json:"scripts"`
	Warnings     []string                `json:"warnings"`
}

// write shows a preview to people; where names the inventory that its releases are from.
func (v *preview) write(out io.Writer, where string) error {
	m := v.Metadata
	fmt.Fprintf(out, "%s\n", v.Release)
	for _, line := range []struct{ name, value string }{{"Description", m.Description}, {"License", m.License}, {"Revision", m.Revision}, {"Branch", m.Branch}} {
		if line.value != "" {
			fmt.Fprintf(out, "  %-13s%s\n", line.name, oneLine(line.value))
		}
	}
	packed := table{heading: []string{"FILE", "MD5"}}
	for _, name := range v.Files {
		packed.add(name, m.Files[name])
	}
	needed := table{heading: []string{"RELEASE", "FOR", "AS"}}
	for _, n := range v.Dependencies {
		needed.add(n.Release, n.For, orDash(n.As))
	}
	ordered := table{heading: []string{"#", "STEP", "RELEASE", "DEPLOYMENT", "RUNS"}}
	for i, s := range v.Scripts {
		of := s.Release
		if s.Provider != "" {
			of = "(provider of " + s.Provider + ")"
		}
		ordered.add(fmt.Sprint(i+1), s.Step, of, s.Deployment, oneLine(s.Runs))
	}
	for _, part := range []struct {
		title, empty string
		table        *table
	}{
		{"Inputs", "", inputTable(m.Inputs)}, {"Files in the package, as they are now", "None.", &packed}, {"Releases it needs, of " + where, "None.", &needed},
		{"Scripts that a run would run", "None.", &ordered},
	} {
		if part.empty == "" && len(part.table.rows) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s\n", part.title)
		if err := part.table.write(out, part.empty); err != nil {
			return err
		}
	}
	return nil
}

// inputTable shows inputs, with the defaults of those that are not sensitive.
func inputTable(inputs []*release.Variable) *table {
	t := &table{heading: []string{"INPUT", "TYPE", "SCOPES", "DEFAULT"}}
	for _, v := range inputs {
		value := "required"
		switch {
		case release.IsMagicType(v.Type):
			value = "filled in"
		case v.HasDefault() && v.Sensitive:
			value = logs.Replacement
		case v.HasDefault():
			value = fmt.Sprint(v.Default)
		}
		t.add(v.ID, v.Type, strings.Join(v.Scopes, ","), value)
	}
	return t
}
