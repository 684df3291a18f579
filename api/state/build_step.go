package state

import (
	"fmt"
	"path"
	"strings"

	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/internal/state"
	"slipway/models"
)

// checkBuildStep finds what is wrong with the i-th step of a build.
func checkBuildStep(i int, step models.BuildStep) error {
	at := func(member string) string { return fmt.Sprintf("steps[%d].%s", i, member) }
	if p := step.PlanLocation; p != "" {
		if path.IsAbs(p) || p != path.Clean(p) && "./"+path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../") {
			return problem.BadField(at("plan_location"), "expected a path inside of the repository")
		}
		if err := plainArgument(at("plan_location"), p); err != nil {
			return err
		}
	}
	if n := step.OverrideNamespace; n != "" {
		if err := release.ValidateNamespace(n); err != nil {
			return problem.BadField(at("override_namespace"), "%s", err.Error())
		}
	}
	for member, patterns := range map[string][]string{"build_on_file_changes": step.BuildOnFileChanges, "ignore_file_changes": step.IgnoreFileChanges} {
		for j, pattern := range patterns {
			if _, err := path.Match(pattern, "x"); err != nil || strings.Trim(pattern, "/.") == "" || strings.ContainsAny(pattern, "\n\x00") {
				return problem.BadField(fmt.Sprintf("%s[%d]", at(member), j), "expected a file, a folder or a pattern such as src/**/*.go")
			}
		}
	}
	for consumer, provider := range step.Providers {
		if _, err := state.ParsePath(provider); err != nil {
			return problem.BadField(at("providers."+consumer), "%s", err.Error())
		}
	}
	for name, value := range step.Variables {
		if name == "" || len(name) > 200 || len(value) > 100_000 {
			return problem.BadField(at("variables"), "expected names of 1 to 200 characters and values of at most 100000")
		}
	}
	return nil
}
