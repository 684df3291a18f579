package activities

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strings"

	"slipway/internal/fetch"
	"slipway/internal/problem"
	"slipway/internal/runner"
	"slipway/models"
)

// Repositories implements Sources with git repositories, and the downloads of plans.
type Repositories struct{ Fetcher *fetch.Fetcher }

var web = regexp.MustCompile(`^(?i)(git::)?https?://`)

// Fetch implements Sources.
func (r Repositories) Fetch(ctx context.Context, space *runner.Workspace, q SourceRequest) (models.Commit, error) {
	req := fetchRequest(q)
	req.Since = q.Since
	res, err := r.Fetcher.Fetch(ctx, space, req)
	if err != nil {
		return models.Commit{}, sourceProblem(err)
	}
	for _, w := range res.Warnings {
		q.Log(w)
	}
	if res.Compared && q.Changes != nil {
		q.Changes(res.Changed)
	}
	return models.Commit{Revision: res.Commit.Revision, Branch: res.Commit.Branch, Message: res.Commit.Message, Author: res.Commit.Author}, nil
}

// Tag pushes a tag for the request's commit to its repository.
func (r Repositories) Tag(ctx context.Context, q SourceRequest, name string) error {
	return sourceProblem(r.Fetcher.Tag(ctx, fetchRequest(q), name))
}

func fetchRequest(q SourceRequest) fetch.Request {
	req := fetch.Request{URL: q.URL, Branch: q.Branch, Commit: q.Commit, PrivateKey: q.PrivateKey}
	if web.MatchString(q.URL) && q.PrivateKey != "" {
		// Over https a key is a password or a token. The forges do not look at the name beside a token.
		req.PrivateKey, req.Username, req.Password = "", "git", strings.TrimSpace(q.PrivateKey)
	}
	return req
}

// sourceProblem makes what is wrong with a source the execution's reason. What may pass is left as it is, so that the
// work is tried again.
func sourceProblem(err error) error {
	var e *fetch.Error
	if errors.As(err, &e) {
		return problem.Wrap(problem.Unprocessable, err, "%s", e.Message)
	}
	return err
}

// downloads implements engine.Downloader in the workspace of an attempt.
type downloads struct {
	fetcher *fetch.Fetcher
	space   *runner.Workspace
}

// Download implements engine.Downloader.
func (d downloads) Download(ctx context.Context, url, file string) error {
	name, err := filepath.Rel(d.space.Source, file)
	if err != nil {
		return err
	}
	return sourceProblem(d.fetcher.Download(ctx, d.space, fetch.Download{URL: url, File: filepath.ToSlash(name)}))
}
