package state

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"slipway/deliveries"
	"slipway/models"
)

// push is what a webhook says, whatever forge it comes from.
type push struct {
	// Known says that the payload was understood as a push; a webhook that is not from a known forge is a bare request to
	// run.
	Known bool
	// Event is what the forge calls it; "" for a bare request.
	Event string
	// Ignore is why nothing is to be run, for events that are no push to a branch.
	Ignore string
	// Branches are those that moved, each with its newest commit.
	Branches []models.Commit
	// Delivery is the forge's id of this delivery, "" where it sends none.
	Delivery string
}

// readPush understands the payloads of GitHub, Gitea (and what comes from Gogs), GitLab, and Bitbucket in the cloud and
// on a server. A text that is not one of them is a bare request.
func readPush(h http.Header, body []byte) push {
	first := func(names ...string) string {
		for _, n := range names {
			if v := h.Get(n); v != "" {
				return v
			}
		}
		return ""
	}
	p := push{
		// Gitea sends GitHub's headers too, so its own come first.
		Event:    first("X-Gitea-Event", "X-Gogs-Event", "X-GitHub-Event", "X-Gitlab-Event", "X-Event-Key"),
		Delivery: first("X-Gitea-Delivery", "X-Gogs-Delivery", "X-GitHub-Delivery", "Idempotency-Key", "X-Gitlab-Event-UUID", "X-Request-UUID", "X-Request-Id"),
	}
	if len(p.Delivery) > 200 {
		p.Delivery = ""
	}
	switch strings.ToLower(p.Event) {
	case "":
		return p
	case "push", "push hook", "repo:push", "repo:refs_changed":
	default:
		p.Known, p.Ignore = true, "the event is not a push"
		return p
	}
	p.Known = true
	var payload pushPayload
	if err := json.Unmarshal(body, &payload); err != nil {
		p.Ignore = "the payload could not be understood"
		return p
	}
	p.Branches = payload.branches()
	if len(p.Branches) == 0 {
		p.Ignore = "no branch was pushed to"
	}
	return p
}

// pushPayload has the members that we need of all the forges' payloads. No two of them mean different things by one name.
type pushPayload struct {
	// GitHub, Gitea, GitLab
	Ref        string         `json:"ref"`
	After      string         `json:"after"`
	Deleted    bool           `json:"deleted"`
	HeadCommit *forgeCommit   `json:"head_commit"`
	Commits    []*forgeCommit `json:"commits"`
	// Bitbucket, cloud
	Push *struct {
		Changes []struct {
			New *struct {
				Type   string `json:"type"`
				Name   string `json:"name"`
				Target struct {
					Hash    string `json:"hash"`
					Message string `json:"message"`
					Author  struct {
						Raw string `json:"raw"`
					} `json:"author"`
				} `json:"target"`
			} `json:"new"`
		} `json:"changes"`
	} `json:"push"`
	// Bitbucket, server
	Changes []struct {
		Ref struct {
			DisplayID string `json:"displayId"`
			Type      string `json:"type"`
		} `json:"ref"`
		ToHash string `json:"toHash"`
		Type   string `json:"type"`
	} `json:"changes"`
}

type forgeCommit struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	Author  struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	} `json:"author"`
}

func (p *pushPayload) branches() []models.Commit {
	var out []models.Commit
	if branch, ok := strings.CutPrefix(p.Ref, "refs/heads/"); ok && !p.Deleted && !isZero(p.After) {
		c := models.Commit{Revision: p.After, Branch: branch}
		head := p.HeadCommit
		for _, other := range p.Commits {
			if head == nil && other != nil && other.ID == p.After {
				head = other
			}
		}
		if head != nil {
			c.Message, c.Author = head.Message, person(head.Author.Name, head.Author.Email)
		}
		out = append(out, c)
	}
	if p.Push != nil {
		for _, ch := range p.Push.Changes {
			if ch.New != nil && ch.New.Type == "branch" {
				out = append(out, models.Commit{Revision: ch.New.Target.Hash, Branch: ch.New.Name, Message: ch.New.Target.Message, Author: ch.New.Target.Author.Raw})
			}
		}
	}
	for _, ch := range p.Changes {
		if ch.Ref.Type == "BRANCH" && ch.Type != "DELETE" {
			out = append(out, models.Commit{Revision: ch.ToHash, Branch: ch.Ref.DisplayID})
		}
	}
	for i := range out {
		c := &out[i]
		c.Branch, c.Message, c.Author = cut(c.Branch, 500), cut(c.Message, 20000), cut(c.Author, 500)
		if !isRevision(c.Revision) {
			c.Revision = "" // it goes to git as a revision to check out: only what can be one does
		}
	}
	return out
}

func person(name, email string) string {
	if email == "" {
		return name
	}
	return strings.TrimSpace(name + " <" + email + ">")
}

// isZero says whether a revision is the one that forges send for "none".
func isZero(revision string) bool { return strings.Trim(revision, "0") == "" }

func isRevision(text string) bool {
	if len(text) < 7 || len(text) > 64 || isZero(text) {
		return false
	}
	_, err := hex.DecodeString(text + strings.Repeat("0", len(text)%2))
	return err == nil
}

func cut(text string, n int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) > n {
		text = strings.ToValidUTF8(text[:n], "")
	}
	return text
}

// signed says whether the payload carries a signature made with the secret, or with one of two, one a line, while a secret is
// changed. Secrets that were stored before there could be two may have line breaks of their own: the whole text always
// signs, and the lines only where they can be two secrets. A line of a key that somebody pasted is none.
func signed(h http.Header, body []byte, secret string) bool {
	if signedWith(h, body, secret) {
		return true
	}
	first, second, _ := strings.Cut(secret, "\n")
	if first == "" || second == "" || strings.Contains(second, "\n") {
		return false
	}
	return signedWith(h, body, first) || signedWith(h, body, second)
}

// signedWith says whether the payload carries a signature made with secret: HMAC-SHA256 over the raw bytes, Slipway's own,
// or, as GitLab does it, the secret itself. Comparisons take the same time whatever is sent.
func signedWith(h http.Header, body []byte, secret string) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	want := mac.Sum(nil)
	for _, name := range []string{"X-Hub-Signature-256", "X-Hub-Signature", "X-Gitea-Signature", "X-Gogs-Signature"} {
		text := strings.TrimPrefix(h.Get(name), "sha256=")
		if got, err := hex.DecodeString(text); err == nil && hmac.Equal(got, want) {
			return true
		}
	}
	if deliveries.Verify(h.Get(deliveries.HeaderSignature), secret, body, time.Now()) {
		return true
	}
	token := h.Get("X-Gitlab-Token")
	return token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(secret)) == 1
}
