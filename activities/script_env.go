package activities

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"slipway/models"
)

// scriptEnv is what scripts are told of the execution that they run in, beyond the script contract: its id and, where the
// installation's address is known, where and with what they may write to its log. What runs elsewhere on a script's behalf
// can do so too.
func (t *attempt) scriptEnv() ([]string, error) {
	if t.env != nil {
		return t.env, nil
	}
	env := []string{"SLIPWAY_EXECUTION=" + t.e.ID}
	if path := logsPath(t.e); t.PublicURL != "" && path != "" {
		token, err := t.Store.RunToken(t.e.ID)
		if err != nil {
			return nil, fmt.Errorf("make the token of the execution: %w", err)
		}
		t.secrets.Add(token)
		env = append(env, "SLIPWAY_LOGS_URL="+strings.TrimRight(t.PublicURL, "/")+path, "SLIPWAY_RUN_TOKEN="+token)
	}
	t.env = env
	return env, nil
}

// logsPath is where the state surface has the log of an execution; "" where it has none.
func logsPath(e *models.Execution) string {
	var names struct{ Project, Environment, Name string }
	if e.DefinitionInto(&names) != nil || slices.Contains([]string{names.Project, names.Environment, names.Name}, "") {
		return ""
	}
	project, environment, name := url.PathEscape(names.Project), url.PathEscape(names.Environment), url.PathEscape(names.Name)
	switch e.Kind {
	case models.KindBuild:
		return "/api/v1/state/" + project + "/environments/" + environment + "/builds/by-name/" + name + "/executions/" + e.ID + "/logs"
	case models.KindDeployment:
		return "/api/v1/deployment-jobs/by-project/" + project + "/by-environment/" + environment + "/by-name/" + name + "/executions/" + e.ID + "/logs"
	}
	return ""
}
