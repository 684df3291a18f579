package demo

import (
	"context"
	"fmt"

	"slipway/internal/client"
)

// application is one of the sample's, with the deployment that it gets in each environment. The deployment's name is not
// the application's: storefront deploys a greeter of its own below it, and the two stay apart.
type application struct {
	name, deployment string
}

var (
	greeter      = application{"greeter", "greetings"}
	storefront   = application{"storefront", "web"}
	applications = []application{greeter, storefront}
)

// languages that the environments speak, and how the greeter greets in them.
var languages = map[string]struct{ code, greeting string }{
	"dev":  {"en", "Welcome to the shop"},
	"prod": {"de", "Willkommen im Laden"},
}

var environments = []string{"dev", "prod"}

// define creates everything that the pipeline needs.
func (d *demo) define(ctx context.Context) (string, error) {
	if err := d.client.AddProject(ctx, client.Project{Name: project, Description: "The demo's shop"}); err != nil {
		return "", err
	}
	for _, name := range environments {
		if err := d.client.AddEnvironment(ctx, project, name); err != nil {
			return "", err
		}
		err := d.client.UpdateEnvironment(ctx, project, client.Environment{Name: name, Inputs: map[string]any{
			"language": languages[name].code,
			"run_dir":  d.runDir(name),
		}})
		if err != nil {
			return "", err
		}
	}
	if err := d.client.AddNamespace(ctx, project, namespace); err != nil {
		return "", err
	}
	for _, app := range applications {
		if err := d.client.AddBuild(ctx, project, "dev", d.build(app)); err != nil {
			return "", err
		}
		for _, environment := range environments {
			err := d.client.AddDeploymentJob(ctx, project, client.DeploymentJob{
				Name: app.deployment, Environment: environment,
				Release: namespace + "/" + app.name, Version: "latest",
			})
			if err != nil {
				return "", err
			}
		}
	}
	if err := d.client.AddPipeline(ctx, project, releasePipeline()); err != nil {
		return "", err
	}
	return fmt.Sprintf("project %s: %d environments, %d builds, %d deployment jobs, pipeline %s of %d phases", project,
		len(environments), len(applications), len(environments)*len(applications), pipeline, len(releasePipeline().Phases)), nil
}

func (d *demo) build(app application) client.Build {
	step := client.BuildStep{
		PlanLocation: app.name + "/escape.yml",
		RunBuild:     true, RunTests: true, CacheRelease: true, PushRelease: true,
		Variables: map[string]string{"run_dir": d.runDir("dev")},
	}
	if app == storefront {
		// Its build deploys the greeter that it depends on; that is taken away again.
		step.RunDestroyBuild = true
		step.Variables["go_cache"] = d.GoCache
	}
	return client.Build{Name: app.name, Repo: d.repository, Branch: "main", Steps: []client.BuildStep{step}}
}

func releasePipeline() client.Pipeline {
	build := func(app application) client.PipelinePhase {
		return client.PipelinePhase{Name: "build " + app.name, Steps: []client.PipelineStep{
			{Name: "build " + app.name, Type: client.StepBuild, Project: project, Environment: "dev", Build: app.name},
		}}
	}
	deploy := func(environment string) client.PipelinePhase {
		phase := client.PipelinePhase{Name: "deploy to " + environment}
		for _, app := range applications {
			phase.Steps = append(phase.Steps, client.PipelineStep{
				Name: "deploy " + app.deployment + " to " + environment, Type: client.StepDeploy,
				Project: project, Environment: environment, Deployment: app.deployment,
			})
		}
		return phase
	}
	// Steps of one phase run side by side, but those on one deployment take their turns in the order of the phase, so the
	// smoke tests come after what they test.
	deployAndSmoke := func(environment string) client.PipelinePhase {
		phase := deploy(environment)
		phase.Name += " and smoke"
		for _, app := range applications {
			phase.Steps = append(phase.Steps, client.PipelineStep{
				Name: "smoke " + app.deployment + " in " + environment, Type: client.StepSmoke,
				Project: project, Environment: environment, Deployment: app.deployment,
			})
		}
		return phase
	}
	return client.Pipeline{Name: pipeline, Phases: []client.PipelinePhase{
		build(greeter),
		build(storefront),
		deployAndSmoke("dev"),
		{Name: "approve", Steps: []client.PipelineStep{{Name: "approve for prod", Type: client.StepConfirmation}}},
		deploy("prod"),
	}}
}
