package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"slipway/api"
	"slipway/api/own"
	"slipway/api/releases"
	"slipway/api/state"
	"slipway/internal/buildinfo"
	"slipway/models"
	"slipway/policies"
)

// API builds the HTTP handler of all surfaces. It fails where the route table has a mistake.
func (a *App) API() (*api.Server, error) {
	auth, err := api.NewAuthenticator(a.Store, api.AuthenticatorOptions{None: a.Config.Auth == "none", Log: a.Log})
	if err != nil {
		return nil, err
	}
	scopes := api.NewScopes(a.Store, api.ScopesOptions{NamespaceProject: a.projectOfNamespace})
	a.Service.SetDecider(a.mayDecide)
	mode := releases.LoginTokens
	switch a.Config.Auth {
	case "none":
		mode = releases.LoginNone
	case "basic":
		mode = releases.LoginBasic
	}
	inventory, err := releases.New(releases.Options{Store: a.Store, Inventory: a.Inventory, Policy: a.Policy, Scopes: scopes,
		Login: releases.Login{Mode: mode, Sessions: auth, PublicURL: a.Config.PublicURL}, Development: a.Config.Development, Version: buildinfo.Version})
	if err != nil {
		return nil, err
	}
	groups := []api.Group{
		inventory,
		state.New(state.Options{Store: a.Store, Policy: a.Policy, Scopes: scopes, Authenticator: auth, Executions: a.Service, Queues: a.Queues(),
			PublicURL: a.Config.PublicURL, Logger: a.Log}),
		own.New(own.Options{Store: a.Store, Policy: a.Policy, Scopes: scopes, Authenticator: auth, Executions: a.Service, Version: buildinfo.Version}),
	}
	return api.New(api.Options{Groups: groups, Authenticator: auth, Policy: a.Policy, Logger: a.Log, Metrics: a.requests, Tracer: a.tracer, Ready: a.Store.Ping})
}

// projectOfNamespace is how the API finds whose roles decide about a namespace.
func (a *App) projectOfNamespace(ctx context.Context, name string) (string, error) {
	n, err := a.Store.NamespaceByName(ctx, name)
	if err != nil {
		return "", err
	}
	if n.ProjectID == nil {
		return "", models.ErrNotFound
	}
	return *n.ProjectID, nil
}

// mayDecide says who may approve or disapprove: the user that the step names, a member of the team that it names, or,
// where it names nobody, whoever may write in the project.
func (a *App) mayDecide(ctx context.Context, by policies.Subject, e *models.Execution, c *models.Confirmation) (bool, error) {
	if by.Kind == policies.KindAnonymous {
		// The documented link acts without a login where the step names nobody: knowing its code is the right.
		return c.User == "" && c.Team == "", nil
	}
	if c.User != "" && by.Kind == policies.KindUser && by.Name == c.User {
		return true, nil
	}
	if c.Team != "" && by.Kind == policies.KindUser {
		teams, err := a.Store.TeamsOf(ctx, by.ID)
		if err != nil {
			return false, err
		}
		for _, t := range teams {
			if t.Name == c.Team {
				return true, nil
			}
		}
	}
	if c.User != "" || c.Team != "" {
		return false, nil
	}
	scopes, err := a.Store.ScopePath(ctx, e.ProjectID)
	if errors.Is(err, models.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find the project of the execution: %w", err)
	}
	return a.Policy.Allow(ctx, by, "pipeline:trigger", policies.Resource{Kind: "project", ID: e.ProjectID, Scopes: scopes})
}

var _ http.Handler = (*api.Server)(nil)
