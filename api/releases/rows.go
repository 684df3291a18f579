package releases

import (
	"net/http"

	"slipway/api"
)

// maxMetadata is how large the metadata of a release may be, in bytes. Logos are part of it.
const maxMetadata = 16 << 20

// rows is the surface's part of the route table. Mind the trailing slashes: they differ from row to row, and clients
// depend on each.
func (s *surface) rows() []api.Row {
	const (
		ns       = prefix + "/{namespace}/"
		units    = ns + "units/"
		unit     = units + "{name}/"
		versions = unit + "versions/"
		version  = versions + "{version}/"
	)
	public := api.Permission{Public: true}
	rows := []api.Row{
		{Method: http.MethodGet, Path: "/", Operation: "getVersion", Permission: public, Handler: api.Handle(s.getVersion),
			Summary: "Name and version of the server."},
		{Method: http.MethodGet, Path: "/health", Operation: "health", Permission: public, Probe: true, Handler: api.Handle(s.health),
			Summary: "Answers with the version while the server runs."},

		{Method: http.MethodGet, Path: prefix + "/", Operation: "listNamespaces", Permission: public, Handler: api.Handle(s.listNamespaces),
			Summary: "The namespaces that the caller may see."},
		{Method: http.MethodGet, Path: "/api/v1/internal/get_namespaces_for_project", Operation: "getNamespacesForProject", Permission: public,
			Handler: api.Handle(s.getNamespacesForProject), Summary: "The namespaces of a project that the caller may see."},
		{Method: http.MethodPost, Path: "/api/v1/internal/add-namespace", Operation: "addNamespaceInternal",
			Permission: api.Permission{Action: "namespace:add"}, Handler: api.Handle(s.addNamespaceInternal), Summary: "Add a namespace to a project."},
		{Method: http.MethodPost, Path: ns + "add-namespace", Operation: "addNamespace",
			Permission: api.Permission{Action: "namespace:add"}, Handler: api.Handle(s.addNamespace), Summary: "Add a namespace. Its name is the body's, not the path's."},
		{Method: http.MethodGet, Path: ns, Operation: "getNamespace", Permission: s.in("namespace:read"), Handler: api.Handle(s.getNamespace),
			Summary: "A namespace and its units."},
		{Method: http.MethodPut, Path: ns, Operation: "updateNamespace", Permission: s.in("namespace:update"), Success: http.StatusCreated,
			Handler: api.Handle(s.updateNamespace), Summary: "Replace what is said about a namespace."},
		{Method: http.MethodDelete, Path: ns + "hard-delete", Operation: "hardDeleteNamespace", Permission: s.in("namespace:delete"),
			Handler: api.Handle(s.hardDeleteNamespace), Summary: "Delete a namespace and everything in it, except for the package files."},
		{Method: http.MethodGet, Path: ns + "hooks/", Operation: "getNamespaceHooks", Permission: s.in("hook:read"),
			Handler: api.Handle(s.getNamespaceHooks), Summary: "The hooks of a namespace."},
		{Method: http.MethodPut, Path: ns + "hooks/", Operation: "updateNamespaceHooks", Permission: s.in("hook:update"), Success: http.StatusCreated,
			Handler: api.Handle(s.updateNamespaceHooks), Summary: "Replace the hooks of a namespace."},

		{Method: http.MethodGet, Path: units, Operation: "listUnits", Permission: s.in("release:read"), Handler: api.Handle(s.listUnits),
			Summary: "The units of a namespace."},
		{Method: http.MethodGet, Path: unit, Operation: "getUnit", Permission: s.in("release:read"), Handler: api.Handle(s.getUnit),
			Summary: "A unit and its versions."},
		{Method: http.MethodGet, Path: unit + "hooks/", Operation: "getUnitHooks", Permission: s.in("hook:read"),
			Handler: api.Handle(s.getUnitHooks), Summary: "The hooks of a unit."},
		{Method: http.MethodPut, Path: unit + "hooks/", Operation: "updateUnitHooks", Permission: s.in("hook:update"), Success: http.StatusCreated,
			Handler: api.Handle(s.updateUnitHooks), Summary: "Replace the hooks of a unit."},
		{Method: http.MethodPost, Path: unit + "tags/", Operation: "tagRelease", Permission: s.in("release:tag"), Handler: api.Handle(s.tagRelease),
			Summary: "Point a tag at a release."},
		{Method: http.MethodGet, Path: unit + "next-version", Operation: "getNextVersion", Permission: api.Permission{Action: "release:read", Filtered: true},
			Handler: api.Handle(s.getNextVersion), Summary: "The version to release next under a prefix."},

		{Method: http.MethodPost, Path: ns + "register", Operation: "registerRelease", MaxBody: maxMetadata,
			Permission: api.Permission{Action: "release:register", On: s.onNamespaceToBe, ReadAction: "namespace:read"},
			Handler:    api.Handle(s.registerRelease), Summary: "Register a release."},
		{Method: http.MethodGet, Path: versions, Operation: "getUnitVersions", Permission: s.in("release:read"), Handler: api.Handle(s.getUnitVersions),
			Summary: "The versions of a unit."},
		{Method: http.MethodGet, Path: version, Operation: "getRelease", Permission: s.in("release:read"), Handler: api.Handle(s.getRelease),
			Summary: "The metadata of a release."},
		{Method: http.MethodGet, Path: version + "previous/", Operation: "getPreviousVersion", Permission: s.in("release:read"),
			Handler: api.Handle(s.getPreviousVersion), Summary: "The metadata of the release before."},
		{Method: http.MethodGet, Path: version + "diff/", Operation: "diffWithPrevious", Permission: s.in("release:read"),
			Handler: api.Handle(s.diffWithPrevious), Summary: "What changed since the release before."},
		{Method: http.MethodGet, Path: version + "diff/{diffWith}/", Operation: "diffWith", Permission: s.in("release:read"),
			Handler: api.Handle(s.diffWith), Summary: "What changed since another release."},
		{Method: http.MethodGet, Path: version + "downstream", Operation: "getDownstream", Permission: s.in("release:read"),
			Handler: api.Handle(s.getDownstream), Summary: "The releases that depend on this one."},
		{Method: http.MethodGet, Path: version + "dependency-graph", Operation: "getDependencyGraph", Permission: s.in("release:read"),
			Handler: api.Handle(s.getDependencyGraph), Summary: "What a release depends on and who depends on it, as JSON or SVG."},
		{Method: http.MethodGet, Path: version + "download", Operation: "downloadPackage", Permission: s.in("release:download"),
			Head: true, Handler: api.Stream(s.downloadPackage), Summary: "The package of a release."},
		{Method: http.MethodPost, Path: version + "upload", Operation: "uploadPackage", Permission: s.in("release:upload"),
			Handler: api.Stream(s.uploadPackage), Summary: "Upload the package of a release."},

		{Method: http.MethodGet, Path: prefix + "/__providers", Operation: "searchProviders", Permission: public, Handler: api.Handle(s.searchProviders),
			Summary: "The releases that provide an interface."},
		{Method: http.MethodPost, Path: prefix + "/search", Operation: "searchReleases", Permission: public, Handler: api.Handle(s.searchReleases),
			Summary: "Search for releases, newest first."},
	}
	rows = append(rows, s.loginRows()...)
	if s.Development {
		rows = append(rows, api.Row{Method: http.MethodDelete, Path: "/api/v1/internal/database", Operation: "wipeDatabase", Permission: public,
			Handler: api.Handle(s.wipeDatabase), Summary: "Wipe the inventory. Only in development mode."})
	}
	return rows
}
