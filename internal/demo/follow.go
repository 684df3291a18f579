package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"slipway/internal/client"
	"slipway/internal/logs"
)

// lookEvery is the time between two looks at the pipeline.
const lookEvery = 100 * time.Millisecond

// runPipeline triggers the pipeline and follows it to its end: every step's log as it is written, and the decision.
func (d *demo) runPipeline(ctx context.Context) (string, error) {
	ref, err := d.client.TriggerPipeline(ctx, project, pipeline)
	if err != nil {
		return "", err
	}
	d.transcript.say("  execution %s of pipeline %s", ref.ID, pipeline)
	f := &follower{demo: d, steps: map[string]*followed{}}
	execution, err := d.client.Watch(ctx, ref, lookEvery, func(e *client.Execution) error { return f.look(ctx, e) })
	if logErr := f.wait(); err == nil {
		err = logErr
	}
	if err != nil {
		return "", err
	}
	if execution.Status != client.StatusOK {
		return "", fmt.Errorf("the pipeline ended as %s: %s", execution.Outcome, execution.Reason)
	}
	if !f.decided {
		return "", errors.New("the pipeline ended without asking for a decision")
	}
	return fmt.Sprintf("run %d of pipeline %s", execution.Number, pipeline), nil
}

// follower knows what of a pipeline's execution was told already.
type follower struct {
	demo      *demo
	steps     map[string]*followed // by position
	decided   bool
	following sync.WaitGroup
	mu        sync.Mutex
	err       error // the first one of a log
}

// followed is a step as it was last seen.
type followed struct {
	status string
	began  time.Time
	log    bool // it is followed
}

// look tells what changed since the last look.
func (f *follower) look(ctx context.Context, execution *client.Execution) error {
	if execution.Pipeline == nil {
		return errors.New("the pipeline's execution has no phases")
	}
	for i, phase := range execution.Pipeline.Phases {
		for j, step := range phase.Steps {
			key := fmt.Sprintf("%d.%d", i+1, j+1)
			known := f.steps[key]
			if known == nil {
				known = &followed{}
				f.steps[key] = known
			}
			if err := f.lookAt(ctx, key, step, known); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *follower) lookAt(ctx context.Context, key string, step client.PipelineStep, known *followed) error {
	status := step.Status
	if step.Outcome != "" {
		status = step.Outcome
	}
	if status != known.status {
		// A step may be too quick to be seen running.
		if known.began.IsZero() && (step.Status == client.StatusRunning || isOver(step.Status)) {
			known.began = time.Now()
			f.demo.transcript.say("  %s %s", key, step.Name)
		}
		if isOver(step.Status) {
			took := time.Since(known.began)
			if ref, ok := step.Ref(project); ok {
				execution, err := f.demo.client.Execution(ctx, ref)
				if err != nil {
					return err
				}
				took = duration(execution, took)
			}
			f.demo.transcript.say("  %s %s: %s, %s", key, step.Name, strings.TrimSpace(status+" "+step.Reason), seconds(took))
			f.demo.transcript.note(row{what: "  " + key + " " + step.Name, status: status, took: took})
		}
		known.status = status
	}
	if ref, ok := step.Ref(project); ok && !known.log {
		known.log = true
		f.follow(ctx, step.Name, ref)
	}
	if step.ConfirmationURL != "" && !f.decided && !isOver(step.Status) {
		f.decided = true
		return f.demo.decide(ctx, step)
	}
	return nil
}

// duration is how long an execution took by its own clock, or otherwise where that does not say.
func duration(execution *client.Execution, otherwise time.Duration) time.Duration {
	if execution.StartedAt.IsZero() || execution.FinishedAt.Before(execution.StartedAt) {
		return otherwise
	}
	return execution.FinishedAt.Sub(execution.StartedAt)
}

func isOver(status string) bool { return status == client.StatusOK || status == client.StatusFailed }

// follow prints a step's log until it ends.
func (f *follower) follow(ctx context.Context, name string, ref client.Ref) {
	f.following.Go(func() {
		if err := f.demo.followLog(ctx, name, ref); err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.err == nil {
				f.err = fmt.Errorf("log of %s: %w", name, err)
			}
		}
	})
}

func (f *follower) wait() error {
	f.following.Wait()
	return f.err
}

// followLog prints a log as it is written. A log without a single line is a fault.
func (d *demo) followLog(ctx context.Context, name string, ref client.Ref) error {
	lines := 0
	err := d.client.FollowLogs(ctx, ref, func(item logs.Item) error {
		lines++
		d.transcript.say("      %s | %s", name, item.Message)
		return nil
	})
	if err == nil && lines == 0 {
		err = errors.New("it has no line")
	}
	return err
}

// decide does what a person does at the confirmation: look at dev, open the link, approve.
func (d *demo) decide(ctx context.Context, step client.PipelineStep) error {
	d.transcript.say("  a decision is awaited: %s", step.ConfirmationURL)
	if _, err := d.ask(ctx, "dev"); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	page, err := d.client.ConfirmationPage(ctx, step.ConfirmationURL)
	if err != nil {
		return fmt.Errorf("open the approval page: %w", err)
	}
	if !strings.Contains(page, "Approve") {
		return errors.New("the approval page has no button to approve")
	}
	if err := d.client.Approve(ctx, step.ConfirmationURL); err != nil {
		return fmt.Errorf("approve: %w", err)
	}
	d.transcript.say("  approved")
	return nil
}

// act triggers a deployment job, follows its log and returns when it has ended well.
func (d *demo) act(ctx context.Context, environment string, app application, action client.Action) error {
	name := strings.TrimPrefix(string(action), "trigger/") + " " + app.deployment + " in " + environment
	began := time.Now()
	ref, err := d.client.TriggerDeploymentJob(ctx, project, environment, app.deployment, action)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := d.followLog(ctx, name, ref); err != nil {
		return fmt.Errorf("%s: log: %w", name, err)
	}
	execution, err := d.client.Watch(ctx, ref, lookEvery, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if execution.Status != client.StatusOK {
		return fmt.Errorf("%s: it ended as %s: %s", name, execution.Outcome, execution.Reason)
	}
	took := duration(execution, time.Since(began))
	d.transcript.say("  %s: ok, %s", name, seconds(took))
	d.transcript.note(row{what: "  " + name, status: execution.Status, took: took})
	return nil
}
