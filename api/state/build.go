package state

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
)

// Build describes a build and its steps, for reading and for writing. id, project, environment, status and webhook_token
// are read-only: what a client sends there is ignored. private_key, escape_auth_token and webhook_secret are write-only.
type Build struct {
	ID                 string             `json:"id"`
	Name               string             `json:"name" validate:"max=200"`
	Project            string             `json:"project" validate:"max=200"`
	Environment        string             `json:"environment" validate:"max=300"`
	Repo               string             `json:"repo" validate:"max=2000"`
	Branch             string             `json:"branch" validate:"max=500"`
	Disabled           bool               `json:"disabled"`
	Status             string             `json:"status" validate:"max=100"`
	Steps              []models.BuildStep `json:"steps" validate:"max=200,dive"`
	StepsFromYML       bool               `json:"steps_from_yml"`
	ServiceAccountName string             `json:"service_account_name" validate:"max=200"`
	ServiceAccountTeam string             `json:"service_account_team" validate:"max=200"`
	// RemoteEscapeWorkerURL names a task queue that the installation has configured.
	RemoteEscapeWorkerURL string `json:"remote_escape_worker_url" validate:"max=2000"`
	// WebhookToken is shown to those who may trigger the build, since it is a way to.
	WebhookToken string `json:"webhook_token,omitempty" validate:"max=200"`

	PrivateKey string `json:"private_key,omitempty" validate:"max=20000"`
	// UpdatePrivateKey must be set for a PUT to change the private key; an empty key then removes it.
	UpdatePrivateKey bool `json:"update_private_key,omitempty"`
	// EscapeAuthToken is kept where a PUT leaves it out. One that is not valid is refused.
	EscapeAuthToken *string `json:"escape_auth_token,omitempty" validate:"omitempty,max=2000"`
	// WebhookSecret is what webhooks must be signed with; absent keeps it, "" removes it. Two of them, one a
	// line, are both good while one takes the place of the other. Beyond the document.
	WebhookSecret *string `json:"webhook_secret,omitempty" validate:"omitempty,max=1000"`
}

// The maps of the document: builds by name, by environment, by project.
type (
	Builds      map[string]Build
	StateBuilds map[string]Builds
	UserBuilds  map[string]StateBuilds
)

// ExecutionID is what triggers answer.
type ExecutionID struct {
	// ID of the execution. It sorts by age.
	ID string `json:"id"`
}

const (
	buildsPath = "/api/v1/state/{project}/environments/{environment}/builds/"
	buildPath  = buildsPath + "by-name/{build}/"
)

func (s *surface) buildRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: "/api/v1/builds/", Operation: "listAllTheVisibleBuildsForTheRequestingUser", Summary: "List all the visible builds for the requesting user.",
			Permission: api.Permission{Action: "build:read", Filtered: true}, Handler: api.Handle(s.userBuilds)},
		{Method: http.MethodGet, Path: "/api/v1/state/{project}/builds/", Operation: "getTheBuildsInTheProject", Summary: "Get the builds in the project.",
			Permission: s.in("build:read"), Handler: api.Handle(s.projectBuilds)},
		{Method: http.MethodGet, Path: buildsPath, Operation: "getTheBuildsInTheEnvironment", Summary: "Get the builds in the environment.",
			Permission: s.in("build:read"), Handler: api.Handle(s.environmentBuilds)},
		{Method: http.MethodPost, Path: buildsPath, Operation: "addANewBuildToTheEnvironment", Summary: "Add a new build to the environment.",
			Permission: s.in("build:create"), Handler: api.Handle(s.addBuild)},
		{Method: http.MethodGet, Path: buildPath, Operation: "getTheBuild", Summary: "Get the build.",
			Permission: s.in("build:read"), Handler: api.Handle(s.getBuild)},
		{Method: http.MethodPut, Path: buildPath, Operation: "updateABuild", Summary: "Update a build. To update the private_key the update_private_key is also required to be set",
			Permission: s.in("build:update"), Handler: api.Handle(s.updateBuild)},
		{Method: http.MethodDelete, Path: buildPath, Operation: "deleteABuild", Summary: "Delete a build.",
			Permission: s.in("build:delete"), Handler: api.Handle(s.deleteBuild)},
		{Method: http.MethodPost, Path: buildPath + "trigger-build", Operation: "triggerTheBuild", Summary: "Trigger the build.",
			Permission: s.in("build:trigger"), Handler: api.Handle(s.triggerBuild)},
		{Method: http.MethodPost, Path: buildsPath + "webhook/{code}", Operation: "buildWebhook", Summary: "Trigger the build by a webhook of its repository. The code is its webhook_token.",
			Permission: api.Permission{Public: true}, MaxBody: maxWebhook, Handler: api.Handle(s.buildWebhook)},
	}
}

// show gives a build as readers see it; secrets says that the webhook's token is shown.
func (s *surface) showBuild(b *models.Build, secrets bool) (Build, error) {
	out := Build{ID: b.ID, Name: b.Name, Project: b.ProjectName, Environment: b.EnvironmentName, Repo: b.Repo, Branch: b.Branch, Disabled: b.Disabled,
		Status: b.Status().StateStatus(false), Steps: b.Steps, StepsFromYML: b.StepsFromYML, ServiceAccountName: b.ServiceAccountName,
		ServiceAccountTeam: b.ServiceAccountTeam, RemoteEscapeWorkerURL: b.TaskQueue}
	if out.Steps == nil {
		out.Steps = []models.BuildStep{}
	}
	var err error
	if secrets {
		out.WebhookToken, err = s.Store.WebhookToken(b)
	}
	return out, err
}

func (s *surface) userBuilds(ctx context.Context, _ *struct{}) (UserBuilds, error) {
	v, err := s.visible(ctx, "build:read")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListBuilds(ctx, models.Where{Visible: v})
	if err != nil {
		return nil, err
	}
	out := UserBuilds{}
	for i := range list {
		b, err := s.showBuild(&list[i], false)
		if err != nil {
			return nil, err
		}
		inner(inner(out, b.Project), b.Environment)[b.Name] = b
	}
	return out, nil
}

func (s *surface) projectBuilds(ctx context.Context, _ *projectRequest) (StateBuilds, error) {
	list, err := s.buildsWhere(ctx, models.Where{ProjectID: projectID(ctx)})
	if err != nil {
		return nil, err
	}
	out := StateBuilds{}
	for _, b := range list {
		inner(out, b.Environment)[b.Name] = b
	}
	return out, nil
}

func (s *surface) environmentBuilds(ctx context.Context, r *environmentRequest) (Builds, error) {
	e, err := s.environment(ctx, r.environmentPath)
	if err != nil {
		return nil, err
	}
	list, err := s.buildsWhere(ctx, models.Where{EnvironmentID: e.ID})
	if err != nil {
		return nil, err
	}
	out := Builds{}
	for _, b := range list {
		out[b.Name] = b
	}
	return out, nil
}

func (s *surface) buildsWhere(ctx context.Context, w models.Where) ([]Build, error) {
	secrets, err := s.may(ctx, "build:trigger")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListBuilds(ctx, w)
	if err != nil {
		return nil, err
	}
	return api.TryEach(list, func(b *models.Build) (Build, error) { return s.showBuild(b, secrets) })
}

type buildCreate struct {
	environmentPath
	Body Build `body:"json"`
}

// thingName is what builds, pipelines and repositories may be called. "/" is not in it: these names stand in paths, and
// proxies like to decode %2F.
var thingName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._ -]*$`)

func checkThingName(kind, name string) error {
	if len(name) > 200 || !thingName.MatchString(name) {
		return problem.New(problem.Invalid, "The %s name '%s' is not allowed. Expected a string matching /%s/", kind, name, thingName)
	}
	return nil
}

func (s *surface) addBuild(ctx context.Context, r *buildCreate) (*Build, error) {
	if err := checkThingName("build", r.Body.Name); err != nil {
		return nil, err
	}
	e, err := s.environment(ctx, r.environmentPath)
	if err != nil {
		return nil, err
	}
	b := &models.Build{ProjectID: projectID(ctx), EnvironmentID: e.ID, Name: r.Body.Name}
	if err := s.fillBuild(ctx, b, &r.Body); err != nil {
		return nil, err
	}
	secrets, err := s.readSecrets(ctx, &r.Body, r.Body.PrivateKey != "")
	if err != nil {
		return nil, err
	}
	err = s.create(ctx, audit("build:create", "build", "", r.Environment+"/"+b.Name), &b.ID, func(tx *models.Store) error {
		return tx.CreateBuild(ctx, b, secrets)
	})
	if err != nil {
		return nil, taken(err)
	}
	b.ProjectName, b.EnvironmentName = r.Project, e.Name
	out, err := s.showBuild(b, true)
	return &out, err
}

// fillBuild checks a build's body and takes over what may change.
func (s *surface) fillBuild(ctx context.Context, b *models.Build, body *Build) error {
	if strings.TrimSpace(body.Repo) == "" {
		return problem.BadField("repo", "is required")
	}
	if err := checkSource(body.Repo, body.Branch); err != nil {
		return err
	}
	if err := s.checkQueue(body.RemoteEscapeWorkerURL); err != nil {
		return err
	}
	if err := s.checkServiceAccount(ctx, body.ServiceAccountName, body.ServiceAccountTeam); err != nil {
		return err
	}
	for i, step := range body.Steps {
		if err := checkBuildStep(i, step); err != nil {
			return err
		}
	}
	b.Repo, b.Branch, b.Disabled, b.Steps, b.StepsFromYML = body.Repo, body.Branch, body.Disabled, body.Steps, body.StepsFromYML
	b.ServiceAccountName, b.ServiceAccountTeam, b.TaskQueue = body.ServiceAccountName, body.ServiceAccountTeam, body.RemoteEscapeWorkerURL
	return nil
}

// readSecrets checks the secrets of a build's body and takes them over, its private key where key says so.
func (s *surface) readSecrets(ctx context.Context, body *Build, key bool) (models.BuildSecrets, error) {
	secrets := models.BuildSecrets{EscapeAuthToken: body.EscapeAuthToken, WebhookSecret: body.WebhookSecret}
	if key {
		secrets.PrivateKey = &body.PrivateKey
	}
	if err := readWebhookSecret("webhook_secret", body.WebhookSecret); err != nil {
		return secrets, err
	}
	return secrets, s.checkInventoryToken(ctx, body.EscapeAuthToken)
}

// plainArgument refuses text that a command could take for an option, or that has control characters. It is refused here
// so that the person sees it at once; fetching treats it as data all the same.
func plainArgument(field, text string) error {
	if strings.HasPrefix(text, "-") {
		return problem.BadField(field, "may not begin with a dash")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return problem.BadField(field, "may not hold control characters")
	}
	return nil
}

// checkQueue takes the name of a configured task queue, or nothing.
func (s *surface) checkQueue(name string) error {
	if name == "" {
		return nil
	}
	for _, q := range s.Queues {
		if q == name {
			return nil
		}
	}
	if len(s.Queues) == 0 {
		return problem.BadField("remote_escape_worker_url", "names a task queue, and none is configured for remote workers: leave it empty")
	}
	return problem.BadField("remote_escape_worker_url", "expected the name of a configured task queue: %s", strings.Join(s.Queues, ", "))
}

// checkInventoryToken refuses a token that each run of the build would fail with, as the worker does. It is not asked for where
// every caller is an administrator.
func (s *surface) checkInventoryToken(ctx context.Context, token *string) error {
	if s.NoAuthentication || token == nil || *token == "" {
		return nil
	}
	_, err := s.Store.SubjectOfToken(ctx, *token)
	if errors.Is(err, models.ErrNotFound) {
		return problem.BadField("escape_auth_token", "is not valid here: it is wrong, or has ended")
	}
	return err
}

type buildRequest struct {
	environmentPath
	Build string `path:"build" validate:"max=300"`
}

func (s *surface) build(ctx context.Context, r buildRequest) (*models.Build, error) {
	var b *models.Build
	err := s.withEnvironment(ctx, r.environmentPath, func(environment string) error {
		var err error
		b, err = s.Store.BuildByName(ctx, environment, r.Build)
		return err
	})
	return b, missing(err, "the environment has no build '%s'", r.Build)
}

func (s *surface) getBuild(ctx context.Context, r *buildRequest) (*Build, error) {
	b, err := s.build(ctx, *r)
	if err != nil {
		return nil, err
	}
	secrets, err := s.may(ctx, "build:trigger")
	if err != nil {
		return nil, err
	}
	out, err := s.showBuild(b, secrets)
	return &out, err
}

type buildUpdate struct {
	buildRequest
	Body Build `body:"json"`
}

func (s *surface) updateBuild(ctx context.Context, r *buildUpdate) (*Build, error) {
	if err := asInURL("Build", "name", r.Body.Name, r.Build); err != nil {
		return nil, err
	}
	b, err := s.build(ctx, r.buildRequest)
	if err != nil {
		return nil, err
	}
	if err := s.fillBuild(ctx, b, &r.Body); err != nil {
		return nil, err
	}
	secrets, err := s.readSecrets(ctx, &r.Body, r.Body.UpdatePrivateKey)
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, audit("build:update", "build", b.ID, r.Environment+"/"+b.Name), func(tx *models.Store) error {
		return tx.UpdateBuild(ctx, b, secrets)
	})
	if err != nil {
		return nil, err
	}
	out, err := s.showBuild(b, true)
	return &out, err
}

func (s *surface) deleteBuild(ctx context.Context, r *buildRequest) (api.Empty, error) {
	b, err := s.build(ctx, *r)
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, busy(s.change(ctx, audit("build:delete", "build", b.ID, r.Environment+"/"+b.Name), func(tx *models.Store) error {
		return tx.DeleteBuild(ctx, b.ID)
	}))
}
