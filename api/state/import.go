package state

import (
	"context"
	"errors"
	"maps"
	"slices"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/internal/state"
	"slipway/models"
)

type importRequest struct {
	projectPath
	// DryRun says what would change and changes nothing.
	DryRun bool   `query:"dry_run"`
	Body   []byte `body:"raw"`
}

// ImportResult says what an import changed, or would change: names of environments, and of root deployments as
// environment/deployment.
type ImportResult struct {
	DryRun             bool     `json:"dry_run"`
	EnvironmentsAdded  []string `json:"environments_added"`
	DeploymentsAdded   []string `json:"deployments_added"`
	DeploymentsChanged []string `json:"deployments_changed"`
}

// importEnvironments merges a client's state file into the project: environments that are not there are added, root
// deployments are added or replaced by name, and nothing is removed. It happens whole or not at all.
func (s *surface) importEnvironments(ctx context.Context, r *importRequest) (*ImportResult, error) {
	if err := api.CheckBody(r.Body); err != nil {
		return nil, err
	}
	file, err := state.DecodeProject(r.Body)
	if err != nil {
		return nil, bad(err)
	}
	if len(file.Environments) > maxImport {
		return nil, problem.New(problem.Invalid, "at most %d environments in one file", maxImport)
	}
	var result *ImportResult
	err = s.change(ctx, audit("project:import", "project", projectID(ctx), r.Project), func(tx *models.Store) error {
		var err error
		if result, err = s.merge(ctx, tx, file); err != nil {
			return err
		}
		if r.DryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		result.DryRun, err = true, nil
	}
	return result, err
}

const maxImport = 1000

// errDryRun rolls an import back that has told what it would do.
var errDryRun = errors.New("dry run")

func (s *surface) merge(ctx context.Context, tx *models.Store, file *state.Project) (*ImportResult, error) {
	out := &ImportResult{EnvironmentsAdded: []string{}, DeploymentsAdded: []string{}, DeploymentsChanged: []string{}}
	by := api.SubjectOf(ctx).Name
	for _, name := range slices.Sorted(maps.Keys(file.Environments)) {
		from := file.Environments[name]
		e, err := tx.EnvironmentByName(ctx, projectID(ctx), name)
		switch {
		case errors.Is(err, models.ErrNotFound):
			e = &models.Environment{ProjectID: projectID(ctx), Name: name, Inputs: from.Inputs}
			if err := tx.CreateEnvironment(ctx, e); err != nil {
				return nil, err
			}
			out.EnvironmentsAdded = append(out.EnvironmentsAdded, name)
		case err != nil:
			return nil, err
		case len(from.Inputs) > 0:
			if e.Inputs == nil {
				e.Inputs = map[string]any{}
			}
			maps.Copy(e.Inputs, from.Inputs)
			if err := tx.UpdateEnvironment(ctx, e); err != nil {
				return nil, err
			}
		}
		have, err := tx.StateOf(ctx, e)
		if err != nil {
			return nil, err
		}
		for _, root := range slices.Sorted(maps.Keys(from.Deployments)) {
			list := &out.DeploymentsAdded
			if have.Deployments[root] != nil {
				list = &out.DeploymentsChanged
			}
			*list = append(*list, name+"/"+root)
			if err := tx.PutDeployment(ctx, e.ID, root, []string{root}, "", from.Deployments[root], by); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
