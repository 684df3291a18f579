package inventory

import (
	"context"
	"encoding/json"

	"slipway/models"
)

// Hooks says where news of a namespace or an application go: by type (slack, events, build), its settings.
type Hooks map[string]map[string]string

// UploadEvent tells of a new package. Its JSON is what receivers of upload hooks get, without the settings of hooks.
type UploadEvent struct {
	Event           string  `json:"event"` // NEW_UPLOAD
	Project         string  `json:"project"`
	ProjectHooks    Hooks   `json:"project_hooks"`
	Unit            string  `json:"unit"`
	UnitHooks       Hooks   `json:"unit_hooks"`
	DownstreamHooks []Hooks `json:"downstream_hooks"`
	Version         string  `json:"version"` // with "v"
	Release         string  `json:"release"` // ns/app-v1
	Username        string  `json:"username"`
}

// EventNewUpload is UploadEvent.Event.
const EventNewUpload = "NEW_UPLOAD"

// Upload is what OnUpload is told: the event, and whose hooks it may concern.
type Upload struct {
	Event UploadEvent
	// NamespaceID is the namespace of the package.
	NamespaceID string
	// Dependents are the applications with hooks that depend on the package's or extend it, as in Event.DownstreamHooks.
	Dependents []Dependent
}

// Dependent is an application with hooks.
type Dependent struct {
	NamespaceID, Application string
	Hooks                    Hooks
}

// announce tells OnUpload of a package that becomes visible with the transaction.
func (s *Service) announce(ctx context.Context, tx *models.Store, f *Found, username string) error {
	if s.OnUpload == nil {
		return nil
	}
	n, err := tx.NamespaceByName(ctx, f.Namespace)
	if err != nil {
		return err
	}
	a, err := tx.ApplicationByName(ctx, f.Namespace, f.Application.Name)
	if err != nil {
		return err
	}
	dependents, err := tx.HooksOfDependents(ctx, f.Namespace, f.Application.Name)
	if err != nil {
		return err
	}
	u := Upload{NamespaceID: n.ID, Event: UploadEvent{Event: EventNewUpload, Project: f.Namespace, ProjectHooks: HooksOf(n.Hooks), Unit: f.Application.Name,
		UnitHooks: HooksOf(a.Hooks), DownstreamHooks: []Hooks{}, Version: "v" + f.Release.Version, Release: f.ID().String(), Username: username}}
	for _, d := range dependents {
		h := HooksOf(d.Hooks)
		u.Event.DownstreamHooks = append(u.Event.DownstreamHooks, h)
		u.Dependents = append(u.Dependents, Dependent{NamespaceID: d.NamespaceID, Application: d.Name, Hooks: h})
	}
	return s.OnUpload(ctx, tx, u)
}

// HooksOf reads the hooks of a namespace or an application; never nil.
func HooksOf(text string) Hooks {
	h := Hooks{}
	if text != "" {
		// Only SetHooks writes this text.
		_ = json.Unmarshal([]byte(text), &h)
	}
	return h
}
