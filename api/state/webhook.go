package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"slipway/api"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
)

// maxWebhook is how large a webhook's payload may be. GitHub sends at most 25 MB, and pushes that large do not say more.
const maxWebhook = 5 << 20

// WebhookResult says what a webhook did.
type WebhookResult struct {
	// ID of the execution, absent where nothing was started.
	ID string `json:"id,omitempty"`
	// Ignored is why nothing was started. That is no error: a forge that gets one tries again, or gives the hook up.
	Ignored string `json:"ignored,omitempty"`
}

type buildWebhookRequest struct {
	environmentPath
	Code string `path:"code" validate:"max=200"`
	Body []byte `body:"raw"`
}

// errNoWebhook is the one answer to a wrong code, a wrong path and a missing signature: they must not be told apart.
var errNoWebhook = problem.New(problem.NotFound, "there is no such webhook")

// buildWebhook starts a build on a push to its branch. The code in the path is the credential.
func (s *surface) buildWebhook(ctx context.Context, r *buildWebhookRequest) (*WebhookResult, error) {
	b, err := s.Store.BuildByWebhook(ctx, r.Code)
	if errors.Is(err, models.ErrNotFound) || err == nil && (b.ProjectName != r.Project || b.EnvironmentName != r.Environment) {
		return nil, errNoWebhook
	}
	if err != nil {
		return nil, err
	}
	_, _, secret, err := s.Store.SecretsOf(b)
	if err != nil {
		return nil, err
	}
	h := api.From(ctx).HTTP.Header
	if secret != "" && !signed(h, r.Body, secret) {
		return nil, errNoWebhook
	}
	p := readPush(h, r.Body)
	commit, ignored := p.commitOf(b.Branch)
	switch {
	case p.Ignore != "":
		return &WebhookResult{Ignored: p.Ignore}, nil
	case ignored:
		return &WebhookResult{Ignored: "the push was not to the branch that this build builds"}, nil
	case b.Disabled:
		return &WebhookResult{Ignored: "the build is disabled"}, nil
	}
	d := b.Definition()
	if commit != nil {
		d.Commit = commit.Revision
	}
	req := buildTriggerOf(b, d)
	req.Trigger = triggeredBy("build", b.ID, b.Name)
	req.IdempotencyKey = p.key(b.ID, r.Body, secret != "")
	return s.webhookTrigger(ctx, req, commit)
}

// commitOf gives the commit that a push brought to a branch. A bare request brings none. Where a build names no branch,
// it is the repository's default one, which the payloads do not tell: any single branch will do, the execution looks for
// itself.
func (p push) commitOf(branch string) (commit *models.Commit, ignored bool) {
	if !p.Known || p.Ignore != "" {
		return nil, false
	}
	for i := range p.Branches {
		if p.Branches[i].Branch == branch {
			return &p.Branches[i], false
		}
	}
	return nil, branch != ""
}

// key makes the same delivery twice one execution. A forge that sends no id is known by the signed payload; an unsigned
// one without an id is a bare request each time.
func (p push) key(subjectID string, body []byte, isSigned bool) string {
	id := p.Delivery
	if id == "" {
		if !isSigned || len(body) == 0 {
			return ""
		}
		id = string(body)
	}
	sum := sha256.Sum256([]byte(id))
	return "webhook:" + subjectID + ":" + hex.EncodeToString(sum[:])
}

func (s *surface) webhookTrigger(ctx context.Context, r executions.TriggerRequest, commit *models.Commit) (*WebhookResult, error) {
	if commit != nil && commit.Revision != "" {
		r.Commit = commit
	}
	id, err := s.trigger(ctx, r)
	if err != nil {
		return nil, err
	}
	return &WebhookResult{ID: id.ID}, nil
}

type pipelineWebhookRequest struct {
	projectPath
	Code string `path:"code" validate:"max=200"`
	Body []byte `body:"raw"`
}

// pipelineWebhook starts a pipeline. A push to a branch that none of its builds builds starts nothing.
func (s *surface) pipelineWebhook(ctx context.Context, r *pipelineWebhookRequest) (*WebhookResult, error) {
	p, t, err := s.Store.PipelineByWebhook(ctx, r.Code)
	if errors.Is(err, models.ErrNotFound) || err == nil && p.ProjectName != r.Project {
		return nil, errNoWebhook
	}
	if err != nil {
		return nil, err
	}
	_, secret, err := s.Store.TriggerSecrets(t)
	if err != nil {
		return nil, err
	}
	h := api.From(ctx).HTTP.Header
	if secret != "" && !signed(h, r.Body, secret) {
		return nil, errNoWebhook
	}
	what := readPush(h, r.Body)
	if what.Ignore != "" {
		return &WebhookResult{Ignored: what.Ignore}, nil
	}
	if p.Disabled {
		return &WebhookResult{Ignored: "the pipeline is disabled"}, nil
	}
	commit, builds, err := s.pushedTo(ctx, p, what)
	if err != nil {
		return nil, err
	}
	if !builds {
		return &WebhookResult{Ignored: "the push was not to a branch that this pipeline builds"}, nil
	}
	if len(p.Phases) == 0 {
		return &WebhookResult{Ignored: "the pipeline has no phases yet"}, nil
	}
	req := pipelineTriggerOf(p)
	req.Trigger = triggeredBy("pipeline", p.ID, p.Name)
	req.IdempotencyKey = what.key(t.ID, r.Body, secret != "")
	return s.webhookTrigger(ctx, req, commit)
}

// pushedTo says whether one of the pipeline's builds builds a branch that was pushed to, and gives the commit.
func (s *surface) pushedTo(ctx context.Context, p *models.Pipeline, what push) (*models.Commit, bool, error) {
	if !what.Known {
		return nil, true, nil
	}
	list, err := s.Store.ListBuilds(ctx, models.Where{ProjectID: p.ProjectID})
	if err != nil {
		return nil, false, err
	}
	branches := map[[2]string]string{}
	for _, b := range list {
		branches[[2]string{b.EnvironmentName, b.Name}] = b.Branch
	}
	any := false
	for _, ph := range p.Phases {
		for _, st := range ph.Steps {
			if st.Type != models.StepBuild || st.Project != "" && st.Project != p.ProjectName {
				continue
			}
			any = true
			commit, ignored := what.commitOf(branches[[2]string{st.Environment, st.Build}])
			if !ignored {
				return commit, true, nil
			}
		}
	}
	return nil, !any, nil
}

// readWebhookSecret drops the line break that a file ends with, and refuses what could never sign anything.
func readWebhookSecret(field string, secret *string) error {
	if secret == nil || *secret == "" {
		return nil
	}
	*secret = strings.TrimSuffix(*secret, "\n")
	lines := strings.Split(*secret, "\n")
	if len(lines) > 2 || slices.Contains(lines, "") {
		return problem.BadField(field, "expected one secret, or two of them, one a line")
	}
	return nil
}
