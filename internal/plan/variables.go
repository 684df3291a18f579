package plan

import "slipway/internal/release"

// ReleaseVariables gives the fields that the script language knows of a release: $this.version, $dep.name and so on.
// What is only known while something runs (inputs, outputs, deployment, environment) is for the caller to add.
func ReleaseVariables(m *release.Metadata) map[string]any {
	return map[string]any{
		"name": m.Name, "version": m.Version, "id": m.ID().String(), "release": m.ID().Unqualified(),
		"versionless_release": m.ID().Versionless(), "project": m.Project, "description": m.Description, "logo": m.Logo,
		"license": m.License, "repository": m.Repository, "branch": m.Branch, "revision": m.Revision, "metadata": m.Metadata,
	}
}

// templateFields are the fields of the release that every template can use by their own name.
var templateFields = []string{
	"branch", "description", "logo", "name", "revision", "id", "version", "repository", "release", "versionless_release",
}
