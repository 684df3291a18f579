package models

// A definition is what an execution runs: the snapshot of a build, a deployment job or a pipeline at the moment of its
// trigger, so that a later change of the thing does not change what runs. The member names are the ones of the state
// document. Definitions hold no secrets: private keys and tokens are read from the build's row when they are needed.

// BuildDefinition is what one execution of a build does.
type BuildDefinition struct {
	BuildID            string      `json:"build_id"`
	Name               string      `json:"name"`
	Project            string      `json:"project"`
	Environment        string      `json:"environment"`
	Repo               string      `json:"repo"`
	Branch             string      `json:"branch"`
	Commit             string      `json:"commit,omitempty"` // a revision to build instead of the branch's head
	Steps              []BuildStep `json:"steps"`
	StepsFromYML       bool        `json:"steps_from_yml"`
	ServiceAccountName string      `json:"service_account_name,omitempty"`
	ServiceAccountTeam string      `json:"service_account_team,omitempty"`
	TaskQueue          string      `json:"task_queue,omitempty"` // from remote_escape_worker_url; "" is the default queue
	Limits             Limits      `json:"limits,omitzero"`
}

// Deploys says whether the build changes deployments of its environment, so that it must hold them. One whose repository
// defines its steps does: each of those deploys, see activities.Scripts.PlanBuild, and none is known before the source is.
func (d BuildDefinition) Deploys() bool {
	if d.StepsFromYML {
		return true
	}
	for _, st := range d.Steps {
		if st.RunDeploy || st.RunSmoke || st.RunDestroy || st.RunDestroyDeploy {
			return true
		}
	}
	return false
}

// Direct says that nothing has to be decided between the trigger and the scripts, no lock and no limit waited for, so that
// the activity that runs them may claim the execution too: see Store.DirectClaim.
func (d BuildDefinition) Direct() bool { return !d.Deploys() && d.Limits == (Limits{}) }

// BuildStep is one release that a build makes. Fields as in the state document.
type BuildStep struct {
	PlanLocation       string            `json:"plan_location" validate:"max=500"`
	BuildOnFileChanges []string          `json:"build_on_file_changes" validate:"max=200,dive,max=500"`
	IgnoreFileChanges  []string          `json:"ignore_file_changes" validate:"max=200,dive,max=500"`
	CacheRelease       bool              `json:"cache_release"`
	FatPackage         bool              `json:"fat_package"`
	ForceOverwrite     bool              `json:"force_overwrite"`
	OverrideNamespace  string            `json:"override_namespace" validate:"max=32"`
	Providers          map[string]string `json:"providers" validate:"max=200"`
	PushRelease        bool              `json:"push_release"`
	RunBuild           bool              `json:"run_build"`
	RunDeploy          bool              `json:"run_deploy"`
	RunDestroy         bool              `json:"run_destroy"`
	RunDestroyBuild    bool              `json:"run_destroy_build"`
	RunDestroyDeploy   bool              `json:"run_destroy_deploy"`
	RunSmoke           bool              `json:"run_smoke"`
	RunTests           bool              `json:"run_tests"`
	SkipIfExists       bool              `json:"skip_if_exists"`
	TagGit             bool              `json:"tag_git"`
	Variables          map[string]string `json:"variables" validate:"max=200"`
}

// The actions of a deployment job.
const (
	ActionDeploy  = "deploy"
	ActionSmoke   = "smoke"
	ActionDestroy = "destroy"
	ActionErrand  = "errand"
)

// DeploymentDefinition is what one execution of a deployment job does.
type DeploymentDefinition struct {
	JobID       string `json:"job_id"`
	Name        string `json:"name"`
	Project     string `json:"project"`
	Environment string `json:"environment"`
	Action      string `json:"action"`
	Deployment  string `json:"deployment"` // name of the root deployment
	Release     string `json:"release"`    // versionless: namespace/application
	Version     string `json:"version"`    // exact, a query, or a tag; "" for what is deployed now
	// Inputs of the job are read from its sealed row when it runs, and are not part of the snapshot: they may be secret.
	Providers  map[string]string `json:"providers"`
	ErrandName string            `json:"errand_name,omitempty"`
	// ErrandInputs are sealed: see Store.SealErrandInputs.
	ErrandInputs       []byte `json:"errand_inputs,omitempty"`
	ServiceAccountName string `json:"service_account_name,omitempty"`
	ServiceAccountTeam string `json:"service_account_team,omitempty"`
	TaskQueue          string `json:"task_queue,omitempty"`
	Limits             Limits `json:"limits,omitzero"`
}

// PipelineDefinition is what one execution of a pipeline does: phases one after another, the steps of a phase side by
// side.
type PipelineDefinition struct {
	PipelineID         string          `json:"pipeline_id"`
	Name               string          `json:"name"`
	Project            string          `json:"project"`
	Phases             []PipelinePhase `json:"phases"`
	ServiceAccountName string          `json:"service_account_name,omitempty"`
	Limits             Limits          `json:"limits,omitzero"`
}

// PipelinePhase is a group of steps that run side by side.
type PipelinePhase struct {
	Name  string         `json:"name" validate:"max=200"`
	Steps []PipelineStep `json:"steps" validate:"max=100,dive"`
	// RunAlways makes the phase run also after a failure, a cancellation or the pipeline's time limit: it cleans up. It is
	// beyond the document, and absent where it is not set.
	RunAlways bool `json:"run_always,omitempty"`
}

// The types of pipeline steps.
const (
	StepBuild        = "build"
	StepDeploy       = "deploy"
	StepSmoke        = "run-smoke"
	StepDestroy      = "run-destroy"
	StepErrand       = "run-errand"
	StepConfirmation = "confirmation"
	StepPipeline     = "pipeline-trigger"
	StepWebhook      = "webhook-trigger"
	StepTagRelease   = "tag-release"
)

// PipelineStep is one step of a phase. Fields as in the state document; which of them matter depends on Type.
type PipelineStep struct {
	Name                     string         `json:"name" validate:"max=200"`
	Type                     string         `json:"type" validate:"required,oneof=build pipeline-trigger webhook-trigger confirmation deploy run-smoke run-destroy run-errand tag-release"`
	Project                  string         `json:"project" validate:"max=200"`
	Environment              string         `json:"environment" validate:"max=200"`
	Build                    string         `json:"build" validate:"max=200"`
	Deployment               string         `json:"deployment" validate:"max=500"`
	ErrandName               string         `json:"errand_name" validate:"max=200"`
	ErrandInputs             map[string]any `json:"errand_inputs,omitempty"`
	IgnoreFailure            bool           `json:"ignore_failure"`
	Pipeline                 string         `json:"pipeline" validate:"max=200"`
	WaitForPipeline          bool           `json:"wait_for_pipeline"`
	WebhookURL               string         `json:"webhook_url" validate:"max=2000"`
	User                     string         `json:"user" validate:"max=200"`
	Team                     string         `json:"team" validate:"max=200"`
	Application              string         `json:"application" validate:"max=200"`
	Namespace                string         `json:"namespace" validate:"max=200"`
	Tag                      string         `json:"tag" validate:"max=64"`
	TagTaggedVersion         string         `json:"tag_tagged_version" validate:"max=64"`
	TagVersion               string         `json:"tag_version" validate:"omitempty,oneof=highest-version-in-pipeline last-version-in-pipeline tagged-version"`
	UpdateVersion            string         `json:"update_version" validate:"omitempty,oneof=dont-update last-version-in-pipeline latest-version version-from-deployment-job tagged-version"`
	UpdateVersionDeployment  string         `json:"update_version_deployment" validate:"max=500"`
	UpdateVersionEnvironment string         `json:"update_version_environment" validate:"max=200"`
	TriggerPipelineOnBuild   bool           `json:"trigger_pipeline_on_build"`
	TriggerPipelineOnDeploy  bool           `json:"trigger_pipeline_on_deploy"`

	// What follows is beyond the document, and absent where it is not set.

	// TimeLimit is how long the step may take, as in 90m: a confirmation that nobody decided by then times out.
	TimeLimit string `json:"time_limit,omitempty" validate:"max=20"`
	// RemindAfter is how long a confirmation waits before those who may decide are reminded, and then again and again.
	RemindAfter string `json:"remind_after,omitempty" validate:"max=20"`
	// FourEyes keeps whoever triggered the pipeline from deciding its confirmation.
	FourEyes bool `json:"four_eyes,omitempty"`
	// Approvals is how many different people must approve; 0 means one.
	Approvals int `json:"approvals,omitempty" validate:"min=0,max=20"`
}
