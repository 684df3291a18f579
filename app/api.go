package app

import (
	"context"
	"net/http"

	"slipway/api"
	apiassets "slipway/api/assets"
	"slipway/api/confirm"
	"slipway/api/own"
	apipackages "slipway/api/packages"
	"slipway/api/releases"
	"slipway/api/state"
	"slipway/assets"
	"slipway/executions"
	"slipway/internal/buildinfo"
	"slipway/internal/config"
	"slipway/internal/fetch"
	"slipway/models"
	"slipway/packages"
)

// API builds the HTTP handler of all surfaces. It fails where the route table has a mistake.
func (a *App) API() (*api.Server, error) {
	proxies, err := a.Config.Proxies()
	if err != nil {
		return nil, err
	}
	address := api.ForwardedAddress(proxies)
	options := api.AuthenticatorOptions{None: a.Config.Auth == "none", Address: address, Log: a.Log}
	if origin := config.Origin(a.Config.PublicURL); origin != "" {
		// A proxy may send its own name for the host: pages of the public address are Slipway's all the same.
		options.TrustedOrigins = []string{origin}
	}
	auth, err := api.NewAuthenticator(a.Store, options)
	if err != nil {
		return nil, err
	}
	scopes := api.NewScopes(a.Store, api.ScopesOptions{NamespaceProject: a.projectOfNamespace})
	a.Service.SetDecider((&confirm.Links{Executions: a.Service, Store: a.Store, Scopes: scopes, Policy: a.Policy}).MayDecideByLink)
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
	repository := packages.NewRepository(a.Packages, nil)
	repositoryOptions := apipackages.Options{Store: a.Store, Service: a.Packages, Repository: repository, Policy: a.Policy, Scopes: scopes, PublicURL: a.Config.PublicURL}
	ownGroup := own.New(own.Options{
		Store: a.Store, Policy: a.Policy, Scopes: scopes, Authenticator: auth, Executions: a.Service, Deliveries: a.Deliveries, Version: buildinfo.Version,
		PublicURL: a.Config.PublicURL,
		Schedules: a.Schedules,
		Codec:     executions.NewCodec(a.Keys),
	})
	ownGroup.Rows = append(ownGroup.Rows, apipackages.SourceRows(apipackages.SourceOptions{Options: repositoryOptions, Mirrors: a.Mirrors,
		CheckURL: func(url string) error { return fetch.CheckURL(url, a.sourcePolicy()) }})...)
	ownGroup.Rows = append(ownGroup.Rows, apiassets.OwnRows(apiassets.OwnOptions{Store: a.Store, Service: a.Assets, Scopes: scopes,
		Schedules: assets.Schedules{Store: a.Store, Client: a.Temporal}, Cancel: a.Service.Cancel})...)
	groups := []api.Group{
		apiassets.New(apiassets.Options{Service: a.Assets, Scopes: scopes, PublicURL: a.Config.PublicURL, Logger: a.Log}),
		apipackages.New(repositoryOptions),
		inventory,
		state.New(state.Options{Store: a.Store, Policy: a.Policy, Scopes: scopes, Authenticator: auth, Executions: a.Service, Queues: a.Queues(),
			PublicURL: a.Config.PublicURL, NoAuthentication: a.Config.Auth == "none", Logger: a.Log}),
		ownGroup,
	}
	var others []api.CrossOrigin
	if ui := config.Origin(a.Config.TemporalUIURL); ui != "" {
		others = append(others, api.CrossOrigin{Origin: ui, Prefix: own.CodecPath + "/"})
	}
	return api.New(api.Options{Groups: groups, CrossOrigins: others, Authenticator: apipackages.NewAuthenticator(apipackages.AuthenticatorOptions{Next: releases.ForLogins(auth), Repository: repository, Address: address, Log: a.Log}), Policy: a.Policy, Logger: a.Log, Metrics: a.requests, Tracer: a.tracer, Ready: a.Store.Ping,
		Address: address, Rates: api.RateLimits{Caller: a.Config.RateCaller, Organization: a.Config.RateOrganization, Address: a.Config.RateAddress}})
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

var _ http.Handler = (*api.Server)(nil)
