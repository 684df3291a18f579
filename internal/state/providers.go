package state

import (
	"maps"
	"slices"
)

// Providers returns which root deployments provide which interface in their deploy stage. The lists are sorted. A stage that
// was destroyed still says what it provided, and is left out.
func (e *Environment) Providers() map[string][]string {
	return e.providers(func(s *Stage) bool { return s.CodeOf() != Empty })
}

// ReadyProviders is Providers for deployments whose deploy stage is ok: what may be chosen for a consumer without being
// named.
func (e *Environment) ReadyProviders() map[string][]string {
	return e.providers(func(s *Stage) bool { return s.CodeOf() == OK })
}

func (e *Environment) providers(use func(*Stage) bool) map[string][]string {
	found := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(e.Deployments)) {
		d := e.Deployments[name]
		if d == nil || d.Stages[StageDeploy] == nil || !use(d.Stages[StageDeploy]) {
			continue
		}
		stage := d.Stages[StageDeploy]
		for _, provided := range stage.Provides {
			if !slices.Contains(found[provided], name) {
				found[provided] = append(found[provided], name)
			}
		}
	}
	return found
}
