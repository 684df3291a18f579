package releases

import (
	"context"
	"errors"
	"fmt"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/inventory"
	"slipway/models"
	"slipway/policies"
)

// Limits of what is said about a namespace, in bytes.
const (
	maxDescription = 64 << 10
	maxURL         = 2000
	maxLogo        = 1 << 20
)

func (s *surface) listNamespaces(ctx context.Context, _ *struct{}) (map[string]namespaceView, error) {
	return s.namespaces(ctx, models.NamespaceFilter{})
}

type projectNamespacesRequest struct {
	Project    string   `query:"project"`
	Namespaces []string `query:"namespace"`
}

func (s *surface) getNamespacesForProject(ctx context.Context, req *projectNamespacesRequest) (map[string]namespaceView, error) {
	f := models.NamespaceFilter{Names: req.Namespaces}
	if len(f.Names) > 1000 {
		return nil, problem.New(problem.Invalid, "at most 1000 namespaces can be asked for at once")
	}
	if req.Project != "" {
		p, err := s.Inventory.ProjectNamed(ctx, req.Project)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return map[string]namespaceView{}, nil
		}
		f.ProjectID = p.ID
	}
	return s.namespaces(ctx, f)
}

// namespaces lists what the caller may see, each with what the caller may do there. The policy is asked once for each
// role and not once for each namespace.
func (s *surface) namespaces(ctx context.Context, f models.NamespaceFilter) (map[string]namespaceView, error) {
	sets := map[string]map[string]bool{}
	for _, action := range []string{"namespace:update", "release:register", "hook:read"} {
		v, err := s.visible(ctx, action)
		if err != nil {
			return nil, err
		}
		g := f
		g.Visible = v
		if sets[action], err = s.Store.NamespaceIDs(ctx, g); err != nil {
			return nil, err
		}
	}
	v, err := s.visible(ctx, "namespace:read")
	if err != nil {
		return nil, err
	}
	f.Visible = v
	list, err := s.Store.ListNamespaces(ctx, f)
	if err != nil {
		return nil, err
	}
	subject := api.SubjectOf(ctx)
	out := make(map[string]namespaceView, len(list))
	for i := range list {
		n := &list[i]
		out[n.Name] = viewNamespace(n, role(subject, sets["namespace:update"][n.ID], sets["release:register"][n.ID]), sets["hook:read"][n.ID])
	}
	return out, nil
}

// role is the word for what a caller may do in a namespace.
func role(s policies.Subject, owns, writes bool) string {
	switch {
	case owns && s.Admin:
		return policies.RoleAdmin
	case owns:
		return policies.RoleOwner
	case writes:
		return policies.RoleWrite
	}
	return policies.RoleRead
}

func (s *surface) getNamespace(ctx context.Context, req *namespacePath) (namespaceWithUnits, error) {
	n, err := s.Store.NamespaceByName(ctx, req.Namespace)
	if err != nil {
		return namespaceWithUnits{}, err
	}
	var may [3]bool
	for i, action := range []string{"namespace:update", "release:register", "hook:read"} {
		if may[i], err = s.may(ctx, action); err != nil {
			return namespaceWithUnits{}, err
		}
	}
	units, err := s.units(ctx, n, may[2])
	if err != nil {
		return namespaceWithUnits{}, err
	}
	return namespaceWithUnits{namespaceView: viewNamespace(n, role(api.SubjectOf(ctx), may[0], may[1]), may[2]), Units: units}, nil
}

type updateNamespaceRequest struct {
	namespacePath
	Body struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		OrgURL      string `json:"org_url"`
		Logo        string `json:"logo"`
		IsPublic    bool   `json:"is_public"`
		// Project moves the namespace to another project, whose owner the caller must be. Absent: it stays.
		Project string `json:"project"`
	} `body:"json"`
}

func (s *surface) updateNamespace(ctx context.Context, req *updateNamespaceRequest) (api.Empty, error) {
	b := &req.Body
	if b.Name != req.Namespace {
		return api.Empty{}, problem.New(problem.Invalid, "Namespace 'name' field doesn't correspond with URL")
	}
	if err := checkTexts(b.Description, b.OrgURL, b.Logo); err != nil {
		return api.Empty{}, err
	}
	n, err := s.Store.NamespaceByName(ctx, req.Namespace)
	if err != nil {
		return api.Empty{}, err
	}
	n.Description, n.OrgURL, n.Logo, n.IsPublic = b.Description, b.OrgURL, b.Logo, b.IsPublic
	if b.Project != "" {
		p, err := s.projectForNamespace(ctx, b.Project)
		if err != nil {
			return api.Empty{}, err
		}
		n.ProjectID, n.OrganizationID = &p.ID, p.OrganizationID
	}
	return api.Empty{}, s.Inventory.UpdateNamespace(ctx, n, api.SubjectOf(ctx))
}

// newNamespace is the body of add-namespace.
type newNamespace struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	OrgURL      string `json:"org_url"`
	Logo        string `json:"logo"`
	// Project that the namespace belongs to. Absent: the one of the same name, else none.
	Project string `json:"project"`
}

type addNamespaceRequest struct {
	namespacePath
	Body newNamespace `body:"json"`
}

type addNamespaceInternalRequest struct {
	Body newNamespace `body:"json"`
}

// addNamespace takes the name from the body, as the original does; the path says nothing.
func (s *surface) addNamespace(ctx context.Context, req *addNamespaceRequest) (api.Empty, error) {
	return s.add(ctx, req.Body)
}

func (s *surface) addNamespaceInternal(ctx context.Context, req *addNamespaceInternalRequest) (api.Empty, error) {
	return s.add(ctx, req.Body)
}

func (s *surface) add(ctx context.Context, b newNamespace) (api.Empty, error) {
	if err := checkTexts(b.Description, b.OrgURL, b.Logo); err != nil {
		return api.Empty{}, err
	}
	n := inventory.NewNamespace{Name: b.Name, Description: b.Description, OrgURL: b.OrgURL, Logo: b.Logo}
	var err error
	if b.Project != "" {
		n.Project, err = s.projectForNamespace(ctx, b.Project)
	} else {
		if n.Project, err = s.Inventory.ProjectNamed(ctx, b.Name); err == nil {
			err = s.mayAddTo(ctx, n.Project)
		}
	}
	if err != nil {
		return api.Empty{}, err
	}
	_, err = s.Inventory.AddNamespace(ctx, n, api.SubjectOf(ctx))
	return api.Empty{}, err
}

// projectForNamespace finds a project that the caller may add namespaces to. One that the caller may not even read is
// answered like one that is not there.
func (s *surface) projectForNamespace(ctx context.Context, name string) (*models.Project, error) {
	p, err := s.Inventory.ProjectNamed(ctx, name)
	if err == nil && p != nil {
		err = s.mayAddTo(ctx, p)
	}
	if problem.Is(err, problem.NotFound) || err == nil && p == nil {
		return nil, problem.New(problem.Invalid, "There is no project '%s'", name)
	}
	return p, err
}

// mayAddTo returns nil if the caller may add namespaces to a project; nil stands for the default organization.
func (s *surface) mayAddTo(ctx context.Context, p *models.Project) error {
	res, err := s.resourceForNew(ctx, p)
	if err != nil {
		return err
	}
	return s.allowed(ctx, "namespace:create", res)
}

// allowed returns nil if the caller may do action, a Forbidden problem if it may only read, else a NotFound one.
func (s *surface) allowed(ctx context.Context, action string, res policies.Resource) error {
	subject := api.SubjectOf(ctx)
	for _, a := range []string{action, "namespace:read"} {
		ok, err := s.Policy.Allow(ctx, subject, a, res)
		switch {
		case err != nil:
			return fmt.Errorf("ask the policy about %s: %w", a, err)
		case ok && a == action:
			return nil
		case ok:
			return problem.New(problem.Forbidden, "you don't have permission to do this")
		}
	}
	return problem.Wrap(problem.NotFound, models.ErrNotFound, "not found")
}

func checkTexts(description, orgURL, logo string) error {
	for _, c := range []struct {
		name, text string
		max        int
	}{{"description", description, maxDescription}, {"org_url", orgURL, maxURL}, {"logo", logo, maxLogo}} {
		if len(c.text) > c.max {
			return problem.New(problem.Invalid, "The field '%s' is over the limit of %d bytes", c.name, c.max)
		}
	}
	return nil
}

func (s *surface) hardDeleteNamespace(ctx context.Context, req *namespacePath) (api.Empty, error) {
	return api.Empty{}, s.Inventory.DeleteNamespace(ctx, req.Namespace, api.SubjectOf(ctx))
}

func (s *surface) wipeDatabase(ctx context.Context, _ *struct{}) (api.Empty, error) {
	return api.Empty{}, s.Inventory.Wipe(ctx, api.SubjectOf(ctx))
}

func isMissing(err error) bool { return errors.Is(err, models.ErrNotFound) }
