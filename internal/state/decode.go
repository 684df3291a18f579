package state

import (
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrInvalidJSON is returned for a body that is not a state document.
var ErrInvalidJSON error = &InvalidError{Message: "Invalid JSON"}

// Update is the body of a client's PUT of a deployment.
type Update struct {
	Path      string      `json:"path"`
	RootStage string      `json:"root_stage"`
	State     *Deployment `json:"state"`
}

// DecodeUpdate reads and checks the body of a PUT. names is the parsed path; the names in the state are checked, and the
// state takes the last name of the path.
func DecodeUpdate(data []byte) (update *Update, names []string, err error) {
	if err := unmarshal(data, &update); err != nil || update == nil || update.State == nil {
		return nil, nil, ErrInvalidJSON
	}
	if names, err = ParsePath(update.Path); err != nil {
		return nil, nil, err
	}
	if err := CheckRootStage(names, update.RootStage); err != nil {
		return nil, nil, err
	}
	update.State.Name = names[len(names)-1]
	if err := update.State.ValidateNames(); err != nil {
		return nil, nil, err
	}
	return update, names, nil
}

// unmarshal is that of encoding/json, in half of its time: clients send some forty states for each release.
func unmarshal(data []byte, v any) error {
	return jsonv2.Unmarshal(data, v, jsonv2.MatchCaseInsensitiveNames(true), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// DecodeProject reads and checks a state file.
func DecodeProject(data []byte) (*Project, error) {
	var p *Project
	if err := unmarshal(data, &p); err != nil || p == nil {
		return nil, ErrInvalidJSON
	}
	if err := p.ValidateNames(); err != nil {
		return nil, err
	}
	return p, nil
}
