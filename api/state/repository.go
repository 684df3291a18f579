package state

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
)

// Repository is a code repository of a project. private_key is write-only.
type Repository struct {
	Name   string `json:"name" validate:"max=200"`
	Repo   string `json:"repo" validate:"max=2000"`
	Branch string `json:"branch" validate:"max=500"`

	// URL is another name for repo in what clients send.
	URL        string `json:"url,omitempty" validate:"max=2000"`
	PrivateKey string `json:"private_key,omitempty" validate:"max=20000"`
	// UpdatePrivateKey must be set for a PUT to change the private key; an empty key then removes it.
	UpdatePrivateKey bool `json:"update_private_key,omitempty"`
}

func (s *surface) repositoryRows() []api.Row {
	const path = "/api/v1/state/{project}/repositories/"
	return []api.Row{
		{Method: http.MethodGet, Path: path, Operation: "retrieveRepositoriesThatAreAssociatedToThisProject", Summary: "Retrieve repositories that are associated to this project",
			Permission: s.in("repository:read"), Handler: api.Handle(s.listRepositories)},
		{Method: http.MethodPost, Path: path + "add-repository", Operation: "addARepositoryToThisProject", Summary: "Add a repository to this project",
			Permission: s.in("repository:create"), Handler: api.Handle(s.addRepository)},
		{Method: http.MethodPut, Path: path + "{name}/", Operation: "updateARepositoryThatIsAssociatedToThisProject", Summary: "Update a repository that is associated to this project",
			Permission: s.in("repository:update"), Handler: api.Handle(s.updateRepository)},
		{Method: http.MethodDelete, Path: path + "{name}/", Operation: "deleteARepositoryThatIsAssociatedToThisProject", Summary: "Delete a repository that is associated to this project",
			Permission: s.in("repository:delete"), Handler: api.Handle(s.deleteRepository)},
	}
}

func (s *surface) listRepositories(ctx context.Context, _ *projectRequest) (map[string]Repository, error) {
	list, err := s.Store.ListRepositories(ctx, projectID(ctx))
	if err != nil {
		return nil, err
	}
	out := map[string]Repository{}
	for _, r := range list {
		out[r.Name] = Repository{Name: r.Name, Repo: r.Repo, Branch: r.Branch}
	}
	return out, nil
}

type repositoryCreate struct {
	projectPath
	Body Repository `body:"json"`
}

func fillRepository(r *models.Repository, body *Repository) error {
	repo := body.Repo
	if repo == "" {
		repo = body.URL
	}
	if repo == "" {
		return problem.BadField("repo", "is required")
	}
	if err := checkSource(repo, body.Branch); err != nil {
		return err
	}
	r.Repo, r.Branch = repo, body.Branch
	return nil
}

// checkSource checks where code is pulled from, for builds and repositories alike. Credentials in the URL would be shown to
// everybody who may read the thing, and stand in every execution's snapshot.
func checkSource(repo, branch string) error {
	for _, c := range [][2]string{{"repo", repo}, {"branch", branch}} {
		if err := plainArgument(c[0], c[1]); err != nil {
			return err
		}
	}
	u, err := url.Parse(strings.TrimPrefix(repo, "git::"))
	if err != nil || u.User == nil || u.Scheme == "ssh" {
		return nil //nolint:nilerr // user@host:path is no URL, and has no place for a password
	}
	return problem.BadField("repo", "credentials do not belong in the URL, where everybody who may read this sees them: put the password or token into private_key")
}

func (s *surface) addRepository(ctx context.Context, r *repositoryCreate) (api.Empty, error) {
	if err := checkThingName("repository", r.Body.Name); err != nil {
		return api.Empty{}, err
	}
	repo := &models.Repository{ProjectID: projectID(ctx), Name: r.Body.Name}
	if err := fillRepository(repo, &r.Body); err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, taken(s.create(ctx, audit("repository:create", "repository", "", repo.Name), &repo.ID, func(tx *models.Store) error {
		return tx.CreateRepository(ctx, repo, &r.Body.PrivateKey)
	}))
}

type repositoryRequest struct {
	projectPath
	Name string `path:"name" validate:"max=300"`
}

func (s *surface) repository(ctx context.Context, r repositoryRequest) (*models.Repository, error) {
	repo, err := s.Store.RepositoryByName(ctx, projectID(ctx), r.Name)
	return repo, missing(err, "the project has no repository '%s'", r.Name)
}

type repositoryUpdate struct {
	repositoryRequest
	Body Repository `body:"json"`
}

func (s *surface) updateRepository(ctx context.Context, r *repositoryUpdate) (api.Empty, error) {
	if err := asInURL("Repository", "name", r.Body.Name, r.Name); err != nil {
		return api.Empty{}, err
	}
	repo, err := s.repository(ctx, r.repositoryRequest)
	if err != nil {
		return api.Empty{}, err
	}
	if err := fillRepository(repo, &r.Body); err != nil {
		return api.Empty{}, err
	}
	var key *string
	if r.Body.UpdatePrivateKey {
		key = &r.Body.PrivateKey
	}
	return api.Empty{}, s.change(ctx, audit("repository:update", "repository", repo.ID, repo.Name), func(tx *models.Store) error {
		return tx.UpdateRepository(ctx, repo, key)
	})
}

func (s *surface) deleteRepository(ctx context.Context, r *repositoryRequest) (api.Empty, error) {
	repo, err := s.repository(ctx, *r)
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, s.change(ctx, audit("repository:delete", "repository", repo.ID, repo.Name), func(tx *models.Store) error {
		return tx.DeleteRepository(ctx, repo.ID)
	})
}
