package api

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

func TestScopes(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	ctx := t.Context()
	p := &models.Project{Name: "shop"}
	namespaces := map[string]string{}
	s := NewScopes(i.store, ScopesOptions{Now: i.options.Now, NamespaceProject: func(_ context.Context, name string) (string, error) {
		if id, ok := namespaces[name]; ok {
			return id, nil
		}
		return "", models.ErrNotFound
	}})
	_, err := s.Project(ctx, "shop")
	require.ErrorIs(t, err, models.ErrNotFound)
	require.NoError(t, i.store.CreateProject(ctx, p))
	got, err := s.Project(ctx, "shop")
	require.NoError(t, err, "what is missing is not remembered")
	org, err := s.Organization(ctx, models.DefaultOrganization)
	require.NoError(t, err)
	require.Equal(t, ProjectScope{ID: p.ID, Name: "shop", OrganizationID: org.ID, Scopes: []string{p.ID, org.ID}}, got)
	byID, err := s.Organization(ctx, org.ID)
	require.NoError(t, err)
	require.Equal(t, org, byID)
	require.Equal(t, []string{org.ID}, org.Scopes)

	res := got.Resource("build", "b1")
	require.Equal(t, "build", res.Kind)
	require.Equal(t, got.Scopes, res.Scopes)
	require.False(t, res.Missing)
	require.Equal(t, org.Scopes, org.Resource("team", "").Scopes)

	_, err = s.Namespace(ctx, "shop-ns")
	require.ErrorIs(t, err, models.ErrNotFound)
	namespaces["shop-ns"] = p.ID
	ns, err := s.Namespace(ctx, "shop-ns")
	require.NoError(t, err)
	require.Equal(t, got, ns)

	for _, name := range []string{"", "nul\x00", "\xff", "no-such"} {
		_, err = s.Project(ctx, name)
		require.ErrorIs(t, err, models.ErrNotFound, "%q", name)
		_, err = s.Organization(ctx, name)
		require.ErrorIs(t, err, models.ErrNotFound, "%q", name)
	}

	// A move in the tree by this process counts at once, by another within a second.
	parent := &models.Organization{Canonical: "parent", Kind: models.OrganizationTenant}
	child := &models.Organization{Canonical: "child", Kind: models.OrganizationOrg}
	require.NoError(t, i.store.CreateOrganization(ctx, parent))
	require.NoError(t, i.store.CreateOrganization(ctx, child))
	before, err := s.Organization(ctx, "child")
	require.NoError(t, err)
	require.Len(t, before.Scopes, 1)
	require.NoError(t, i.store.MoveOrganization(ctx, child.ID, &parent.ID))
	after, err := s.Organization(ctx, "child")
	require.NoError(t, err)
	require.Equal(t, []string{child.ID, parent.ID}, after.Scopes)
	i.elsewhere(t, "UPDATE organizations SET parent_id = NULL WHERE id = ?", child.ID)
	i.move(time.Second)
	after, err = s.Organization(ctx, "child")
	require.NoError(t, err)
	require.Len(t, after.Scopes, 1)

	require.NoError(t, i.store.DeleteProject(ctx, p.ID))
	_, err = s.Project(ctx, "shop")
	require.ErrorIs(t, err, models.ErrNotFound)
}

// S2: an organization whose canonical is another's id does not stand in for it.
func TestS2CanonicalThatLooksLikeAnID(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	ctx := t.Context()
	s := NewScopes(i.store, ScopesOptions{})
	org, err := s.Organization(ctx, models.DefaultOrganization)
	require.NoError(t, err)
	require.NoError(t, i.store.CreateOrganization(ctx, &models.Organization{Canonical: org.ID, Kind: models.OrganizationOrg}))
	got, err := s.Organization(ctx, org.ID)
	require.NoError(t, err)
	require.Equal(t, "default", got.Canonical)
}
