package api

import (
	"net/http"
)

// The challenges of answers with status 401 (RFC 9110, 11.6.1): the kinds of credentials that every row takes.
const (
	BearerChallenge = `Bearer realm="slipway"`
	BasicChallenge  = `Basic realm="slipway", charset="UTF-8"`
)

// Challenge says in an answer's headers which credentials are taken, a token first. Surfaces whose clients look at the first
// challenge only, and want another one there, set their own.
//
// Scripts of a page are not told of Basic: the browser would ask its user for a password in the middle of something else.
func Challenge(h http.Header, r *http.Request) {
	h["Www-Authenticate"] = []string{BearerChallenge}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode == "" || mode == "navigate" {
		h.Add("WWW-Authenticate", BasicChallenge)
	}
}

// ChallengeBasic is Challenge with Basic first, for clients that ask their user for a name and a password when they see it
// there.
func ChallengeBasic(h http.Header) {
	h["Www-Authenticate"] = []string{BasicChallenge, BearerChallenge}
}

// ChallengePage is the challenge of a page that is itself what a person without a login should see: browsers show it only
// where they know none of the kinds.
func ChallengePage(h http.Header) {
	h["Www-Authenticate"] = []string{BearerChallenge}
}
