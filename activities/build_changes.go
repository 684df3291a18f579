package activities

import (
	"context"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"slipway/internal/logs"
	"slipway/models"
)

// idleError ends a build that had nothing to do. It is no failure.
type idleError struct{ since string }

func (e *idleError) Error() string {
	return "nothing that it builds has changed since commit " + e.since
}

// baseline is what a build compares with; the zero value where its steps ask for no comparison, or there is nothing to
// compare with. It is the last execution that ended well, on the same branch. An execution that repeats another one runs
// all it was asked for. What was found once holds for every try.
func (t *attempt) baseline(ctx context.Context, d models.BuildDefinition) (baseline, error) {
	asked := false
	for _, st := range d.Steps {
		asked = asked || len(st.BuildOnFileChanges) > 0 || len(st.IgnoreFileChanges) > 0
	}
	if !asked || d.StepsFromYML || t.e.RetryOf != "" {
		return baseline{}, nil
	}
	found, err := t.Decide(ctx, "baseline", func() (string, error) {
		e, err := t.Store.LastGoodBuild(ctx, t.e, d.Branch)
		if errors.Is(err, models.ErrNotFound) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		return e.Commit.Revision + " " + e.ID, nil
	})
	if err != nil || found == "" {
		return baseline{}, err
	}
	revision, id, _ := strings.Cut(found, " ")
	b := baseline{since: revision}
	if id == "" {
		b.steps = d.Steps // decided by a worker of a version that knew the commit alone
		return b, nil
	}
	e, err := t.Store.ExecutionByID(ctx, id)
	if errors.Is(err, models.ErrNotFound) {
		return b, nil
	}
	if err != nil {
		return baseline{}, err
	}
	var then models.BuildDefinition
	if err := e.DefinitionInto(&then); err != nil {
		return b, nil //nolint:nilerr // what cannot be read had none of the steps: they run
	}
	b.steps = then.Steps
	return b, nil
}

// baseline is an execution that ended well: the commit that it built, and the steps that it had. Each of those had run well
// by then, in that execution or in an earlier one, and nothing of its files had changed since.
type baseline struct {
	since string
	steps []models.BuildStep
}

// changes are the files that differ from the baseline.
type changes struct {
	baseline
	known bool
	files []string
}

// had says whether the baseline had a step as it stands now. One that was added since, or that does something else than
// it did, has never run well: no comparison of files can say that it has nothing to do.
func (b baseline) had(st models.BuildStep) bool {
	return slices.ContainsFunc(b.steps, func(s models.BuildStep) bool { return reflect.DeepEqual(plain(s), plain(st)) })
}

// plain is a step in which nothing and an empty list are the same.
func plain(st models.BuildStep) models.BuildStep {
	if len(st.BuildOnFileChanges) == 0 {
		st.BuildOnFileChanges = nil
	}
	if len(st.IgnoreFileChanges) == 0 {
		st.IgnoreFileChanges = nil
	}
	if len(st.Providers) == 0 {
		st.Providers = nil
	}
	if len(st.Variables) == 0 {
		st.Variables = nil
	}
	return st
}

// concern says whether a step has something to do: one of the files is among those that it builds on (any, where it names
// none) and not among those that it ignores. What is not known counts as changed, and so does a step that is new.
func (c changes) concern(st models.BuildStep) bool {
	if !c.known || len(st.BuildOnFileChanges) == 0 && len(st.IgnoreFileChanges) == 0 || !c.had(st) {
		return true
	}
	for _, f := range c.files {
		if (len(st.BuildOnFileChanges) == 0 || matchesAny(st.BuildOnFileChanges, f)) && !matchesAny(st.IgnoreFileChanges, f) {
			return true
		}
	}
	return false
}

// skip says in the log that a step has nothing to do.
func (t *attempt) skip(number int, st models.BuildStep, c changes) {
	t.say(logs.LevelInfo, fmt.Sprintf("Step %d (%s) is skipped: none of its files has changed since commit %s.", number+1, planOf(st), c.since))
}

func matchesAny(patterns []string, file string) bool {
	for _, p := range patterns {
		if matchesFile(p, file) {
			return true
		}
	}
	return false
}

// matchesFile says whether a pattern means a file, given as a path from the top of the repository. In a pattern * stands
// for any characters but /, ? for one, [ab] for one of those, and ** as a whole part for any number of folders. A pattern
// that means a folder means all that is in it. One with a / in it, other than at its end, is a path from the top; any
// other means a file or folder of that name anywhere.
func matchesFile(pattern, file string) bool {
	pattern = strings.TrimPrefix(strings.TrimSuffix(pattern, "/"), "./")
	if pattern == "" {
		return false
	}
	parts := strings.Split(file, "/")
	if !strings.Contains(pattern, "/") && pattern != "**" {
		for _, part := range parts {
			if ok, err := path.Match(pattern, part); err == nil && ok {
				return true
			}
		}
		return false
	}
	want := strings.Split(strings.TrimPrefix(pattern, "/"), "/")
	for n := 1; n <= len(parts); n++ {
		if matchesParts(want, parts[:n]) {
			return true
		}
	}
	return false
}

// matchesParts compares part by part. It goes through the pattern once for each part, however many ** there are: the
// last one that was met takes what the others leave.
func matchesParts(pattern, parts []string) bool {
	p, i := 0, 0
	star, taken := -1, 0
	for i < len(parts) {
		if p < len(pattern) && pattern[p] == "**" {
			star, taken = p, i
			p++
			continue
		}
		if p < len(pattern) {
			if ok, err := path.Match(pattern[p], parts[i]); err == nil && ok {
				p, i = p+1, i+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		taken++
		p, i = star+1, taken
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return p == len(pattern)
}
