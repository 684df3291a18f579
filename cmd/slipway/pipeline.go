package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/client"
)

func newPipelineCommand() *cobra.Command {
	k := &clientCommands{}
	c := &cobra.Command{Use: "pipeline", Short: "Run pipelines, look at them, and decide what they ask"}
	k.flags(c)
	c.AddCommand(k.pipelineRun(), k.pipelineList(), k.pipelineShow(), k.decide(true), k.decide(false))
	return c
}

const followUsage = "print the logs of all steps as they come, and end with the execution's result"

func (k *clientCommands) pipelineRun() *cobra.Command {
	var follow bool
	c := &cobra.Command{
		Use: "run PROJECT PIPELINE", Short: "Start a pipeline", Args: cobra.ExactArgs(2), ValidArgsFunction: k.completePipelines,
		Long: "Start a pipeline.\n\n" + exitText,
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		ref, err := api.TriggerPipeline(ctx, args[0], args[1])
		if err != nil {
			return missing(err, "pipeline '%s' in project '%s'", args[1], args[0])
		}
		return k.started(ctx, api, c, "pipeline "+args[1], ref, follow)
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, followUsage)
	return c
}

// exitText explains --follow where something is started.
const exitText = `With --follow the command prints the logs as they come and ends with the execution's result: 0 where it ended well or there
was nothing to do, 1 where it failed, 3 where it was cancelled. Ctrl-C ends the command and not the execution.`

// missing gives an answer that something does not exist a text that says what; the server does not always.
func missing(err error, format string, args ...any) error {
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound && (refused.Body == "" || strings.EqualFold(refused.Body, "not found")) {
		text := *refused
		text.Body = "there is no " + fmt.Sprintf(format, args...) + " that you may see"
		return &text
	}
	return err
}

func (k *clientCommands) pipelineList() *cobra.Command {
	c := &cobra.Command{
		Use: "list [PROJECT]", Short: "List the pipelines that you may see, or those of a project", Args: cobra.MaximumNArgs(1), ValidArgsFunction: k.completeProjects,
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		t := table{heading: []string{"PROJECT", "PIPELINE", "PHASES", "STATUS"}}
		add := func(project string, pipelines map[string]client.Pipeline) {
			for _, name := range sortedKeys(pipelines) {
				p := pipelines[name]
				t.add(project, name, strconv.Itoa(len(p.Phases)), statusOf(p.Status, p.Disabled))
			}
		}
		var document json.RawMessage
		if len(args) == 1 {
			list, err := api.PipelinesOf(ctx, args[0])
			if err != nil {
				return missing(err, "project '%s'", args[0])
			}
			document = list.JSON
			add(args[0], list.Value)
		} else {
			list, err := api.Pipelines(ctx)
			if err != nil {
				return err
			}
			document = list.JSON
			for _, project := range sortedKeys(list.Value) {
				add(project, list.Value[project])
			}
		}
		if k.output == "json" {
			return writeJSON(c.OutOrStdout(), document)
		}
		return t.write(c.OutOrStdout(), "There are no pipelines that you may see.")
	})
	return c
}

// statusOf is a status for people: of something that never ran it is new.
func statusOf(status string, disabled bool) string {
	if disabled {
		return status + ", disabled"
	}
	return status
}

func (k *clientCommands) pipelineShow() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use: "show PROJECT PIPELINE", Short: "Show the steps of a pipeline, and how they stand in its newest execution", Args: cobra.ExactArgs(2), ValidArgsFunction: k.completePipelines,
		Long: `Show the steps of a pipeline, and how they stand in its newest execution, or in another one with --execution.

With -o json it is the execution as the API shows it, or the pipeline where it never ran.`,
	}
	c.Flags().StringVar(&id, "execution", "", "id of the execution to show")
	_ = c.RegisterFlagCompletionFunc("execution", k.completeExecutions(client.KindPipeline))
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		project, name := args[0], args[1]
		if id == "" {
			newest, err := api.Executions(ctx, client.ExecutionFilter{Project: project, Kind: client.KindPipeline, Subject: name, PageSize: 1})
			if err != nil {
				return err
			}
			if len(newest.Value) == 0 {
				return k.showPipeline(ctx, api, c, project, name)
			}
			id = newest.Value[0].ID
		}
		e, err := api.ExecutionAnswer(ctx, client.PipelineRef(project, name, id))
		if err != nil {
			return missing(err, "execution %s of pipeline '%s' in project '%s'", id, name, project)
		}
		if k.output == "json" {
			return writeJSON(c.OutOrStdout(), e.JSON)
		}
		now := time.Now()
		fmt.Fprintf(c.OutOrStdout(), "%s, execution %d (%s), started %s%s: %s\n", oneLine(project+"/"+name), e.Value.Number, e.Value.ID, ago(e.Value.CreatedAt, now),
			by(e.Value.Trigger), oneLine(withReason(e.Value.Outcome, e.Value.Reason)))
		return phases(e.Value.Pipeline).write(c.OutOrStdout(), "It has no steps.")
	})
	return c
}

func (k *clientCommands) showPipeline(ctx context.Context, api *client.Client, c *cobra.Command, project, name string) error {
	p, err := api.Pipeline(ctx, project, name)
	if err != nil {
		return missing(err, "pipeline '%s' in project '%s'", name, project)
	}
	if k.output == "json" {
		return writeJSON(c.OutOrStdout(), p.JSON)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s has not run yet.\n", oneLine(project+"/"+name))
	return phases(&p.Value).write(c.OutOrStdout(), "It has no steps.")
}

// phases are the steps of a pipeline as a table.
func phases(p *client.Pipeline) *table {
	t := &table{heading: []string{"PHASE", "STEP", "TYPE", "STATUS", "TOOK", "EXECUTION", "REASON"}, narrow: []string{"TYPE", "TOOK", "EXECUTION"}}
	if p == nil {
		return t
	}
	for i, phase := range p.Phases {
		label := strconv.Itoa(i + 1)
		if phase.Name != "" {
			label += " " + phase.Name
		}
		for _, st := range phase.Steps {
			name := st.Name
			if name == "" {
				name = strings.TrimSpace(st.Build + st.Deployment + st.Pipeline)
			}
			status, took := orDash(st.Outcome), "-"
			if st.Kept {
				status += ", kept"
			}
			if st.StartedAt != nil && st.FinishedAt != nil {
				took = span(st.FinishedAt.Sub(*st.StartedAt))
			}
			reason := st.Reason
			if st.DecidedBy != "" {
				reason = strings.TrimSpace(reason + " decided by " + st.DecidedBy)
			}
			if st.Type == client.StepConfirmation && st.Outcome == "waiting" {
				reason = "a decision is awaited of " + client.Asked(st.User, st.Team)
			}
			t.add(label, orDash(name), st.Type, status, took, orDash(st.ExecutionID), reason)
			label = ""
		}
	}
	return t
}

func withReason(outcome, reason string) string {
	if reason == "" {
		return outcome
	}
	return outcome + ": " + reason
}

// by says who started an execution.
func by(t client.Trigger) string {
	text := ""
	if t.SubjectName != "" {
		text = " by " + oneLine(t.SubjectName)
	}
	if t.Type != "" && t.Type != "api" {
		text += " (" + oneLine(t.Type) + ")"
	}
	return text
}

// decide is `slipway pipeline approve` and its opposite.
func (k *clientCommands) decide(approve bool) *cobra.Command {
	verb, title, past := "approve", "Approve", "approved"
	if !approve {
		verb, title, past = "disapprove", "Disapprove", "disapproved"
	}
	var step string
	c := &cobra.Command{
		Use: verb + " EXECUTION", Short: title + " what an execution of a pipeline asks", Args: cobra.ExactArgs(1), ValidArgsFunction: k.completeApprovals,
		Long: title + ` what an execution of a pipeline asks. slipway approvals lists what waits for you.

Where it asks several things at once, --step names one of them.`,
	}
	c.Flags().StringVar(&step, "step", "", "name of the step, where several wait")
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		found, err := find(ctx, api, args[0])
		var exit *exitError
		if err != nil && !(errors.As(err, &exit) && exit.code == exitNotFound) {
			return err
		}
		// Who is named in a step may decide it without being able to see the execution.
		waiting, err2 := api.PendingConfirmations(ctx, client.PendingFilter{Execution: args[0]})
		if err2 != nil {
			return err2
		}
		var mine []client.PendingConfirmation
		for _, w := range waiting.Value {
			if w.Execution == args[0] && (step == "" || w.Step == step) {
				mine = append(mine, w)
			}
		}
		switch {
		case len(mine) == 0 && err != nil:
			return err
		case len(mine) == 0:
			return k.nothingToDecide(ctx, api, found, step)
		case len(mine) > 1:
			var names []string
			for _, w := range mine {
				names = append(names, "'"+w.Step+"'")
			}
			return usageErrorf("several steps wait for a decision, name one with --step: %s", strings.Join(names, ", "))
		}
		decision, err := api.Decide(ctx, mine[0].Link(), approve)
		if err != nil {
			return err
		}
		if k.output == "json" {
			return printLine(c.OutOrStdout(), decided{args[0], mine[0].Step, past, decision.Status, decision.Approvals, decision.ApprovalsNeeded})
		}
		rest := ""
		if approve && decision.Status == "pending" {
			rest = fmt.Sprintf(" It still waits: %d of %d have approved.", decision.Approvals, decision.ApprovalsNeeded)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "You %s '%s' of %s/%s, execution %d.%s\n", past, oneLine(mine[0].Step), mine[0].Project, mine[0].Pipeline, mine[0].Number, rest)
		return err
	})
	return c
}

// decided is what approve and disapprove tell programs: what the caller said, and how the confirmation stands then.
type decided struct {
	Execution       string `json:"execution"`
	Step            string `json:"step"`
	Decision        string `json:"decision"`
	Status          string `json:"status"`
	Approvals       int    `json:"approvals,omitempty"`
	ApprovalsNeeded int    `json:"approvals_needed,omitempty"`
}

// nothingToDecide says why there is nothing that the caller could decide.
func (k *clientCommands) nothingToDecide(ctx context.Context, api *client.Client, found *client.AnyExecution, step string) error {
	if found.Kind != client.KindPipeline {
		return fmt.Errorf("execution %s is one of a %s, and only pipelines ask for decisions", found.ID, found.Kind)
	}
	if found.Ended() {
		return fmt.Errorf("execution %s has ended: %s", found.ID, withReason(found.Outcome, found.Reason))
	}
	ref, _ := found.Ref()
	e, err := api.Execution(ctx, ref)
	if err != nil {
		return err
	}
	for _, phase := range e.Pipeline.Phases {
		for _, st := range phase.Steps {
			if st.Type == client.StepConfirmation && st.Outcome == "waiting" && (step == "" || st.Name == step) {
				return &exitError{exitNotAllowed, fmt.Errorf("'%s' waits for a decision of %s, and you are not asked", st.Name, client.Asked(st.User, st.Team))}
			}
		}
	}
	if step != "" {
		return fmt.Errorf("execution %s has no step '%s' that waits for a decision", found.ID, step)
	}
	return fmt.Errorf("execution %s waits for no decision: it is %s", found.ID, found.Outcome)
}

func newApprovalsCommand() *cobra.Command {
	k := &clientCommands{}
	c := &cobra.Command{Use: "approvals", Short: "List the decisions that wait for you", Args: cobra.NoArgs}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, _ []string) error {
		waiting, items, err := allPending(ctx, api)
		if err != nil {
			return err
		}
		if k.output == "json" {
			return writeJSON(c.OutOrStdout(), items)
		}
		now := time.Now()
		t := table{heading: []string{"EXECUTION", "PIPELINE", "STEP", "ASKED", "WAITS", "STARTED BY"}, narrow: []string{"WAITS", "ASKED"}}
		for _, w := range waiting {
			waits := span(now.Sub(w.CreatedAt))
			if w.ExpiresAt != nil {
				waits += ", " + span(w.ExpiresAt.Sub(now)) + " left"
			}
			t.add(w.Execution, fmt.Sprintf("%s/%s #%d", w.Project, w.Pipeline, w.Number), w.Step, client.Asked(w.User, w.Team), waits, orDash(w.Trigger.SubjectName))
		}
		return t.write(c.OutOrStdout(), "No decision waits for you.")
	})
	k.flags(c)
	return c
}

// allPending reads all pages of the decisions that wait for the caller, and gives them as one list; items are the same as the
// API said them.
func allPending(ctx context.Context, api *client.Client) (list []client.PendingConfirmation, items []json.RawMessage, err error) {
	const size = 200
	items = []json.RawMessage{}
	f := client.PendingFilter{PageSize: size}
	for {
		page, err := api.PendingConfirmations(ctx, f)
		if err != nil {
			return nil, nil, err
		}
		var more []json.RawMessage
		if err := json.Unmarshal(page.JSON, &more); err != nil {
			return nil, nil, err
		}
		list, items = append(list, page.Value...), append(items, more...)
		if len(more) < size || list[len(list)-1].ID == "" {
			return list, items, nil
		}
		f.PageFrom = list[len(list)-1].ID
	}
}
