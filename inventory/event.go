package inventory

import (
	"context"
	"encoding/json"
)

// Hooks says where news of a namespace or an application go: by type (slack, events, build), its settings.
type Hooks map[string]map[string]string

// UploadEvent tells of a new package. Its JSON is what receivers of upload hooks get.
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

// announce tells OnUpload of a package that has become visible.
func (s *Service) announce(ctx context.Context, f *Found, username string) {
	if s.OnUpload == nil {
		return
	}
	e, err := s.uploadEvent(ctx, f, username)
	if err == nil {
		err = s.OnUpload(ctx, e)
	}
	if err != nil {
		s.logger().WarnContext(ctx, "nobody was told of a new package", "release", f.ID().String(), "error", err)
	}
}

func (s *Service) uploadEvent(ctx context.Context, f *Found, username string) (UploadEvent, error) {
	n, err := s.Store.NamespaceByName(ctx, f.Namespace)
	if err != nil {
		return UploadEvent{}, err
	}
	texts, err := s.Store.HooksOfDependents(ctx, f.Namespace, f.Application.Name)
	if err != nil {
		return UploadEvent{}, err
	}
	e := UploadEvent{Event: EventNewUpload, Project: f.Namespace, ProjectHooks: HooksOf(n.Hooks), Unit: f.Application.Name,
		UnitHooks: HooksOf(f.Application.Hooks), DownstreamHooks: []Hooks{}, Version: "v" + f.Release.Version,
		Release: f.ID().String(), Username: username}
	for _, t := range texts {
		e.DownstreamHooks = append(e.DownstreamHooks, HooksOf(t))
	}
	return e, nil
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
