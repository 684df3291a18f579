package releases

import (
	"bytes"
	"context"
	"html/template"
	"net/http"
	"net/url"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
)

// loginForm is what the page shows.
type loginForm struct {
	Key     string // of the client that waits
	Action  string // where the form goes
	User    string // as it was typed before
	Problem string
	Done    bool
}

var loginTemplate = template.Must(template.New("login").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in to Slipway</title>
<style>
body { font-family: sans-serif; max-width: 26rem; margin: 4rem auto; padding: 0 1rem; color: #222; }
label { display: block; margin: 1rem 0 .25rem; }
input { width: 100%; padding: .5rem; font-size: 1rem; box-sizing: border-box; }
button { margin-top: 1.5rem; padding: .5rem 1.5rem; font-size: 1rem; }
.problem { color: #a00; }
</style>
</head>
<body>
<h1>Slipway</h1>
{{if .Done}}
<p>You are logged in as <strong>{{.User}}</strong>. You can close this page and go back to the command line.</p>
{{else}}
<p>A client on the command line waits for you to log in. Go on only if <strong>you</strong> have just started it:
whoever started it will act in your name.</p>
{{with .Problem}}<p class="problem" role="alert">{{.}}</p>{{end}}
<form method="post" action="{{.Action}}">
<input type="hidden" name="redeem-token" value="{{.Key}}">
<label for="username">User</label>
<input id="username" name="username" value="{{.User}}" autocomplete="username" required autofocus>
<label for="secret_token">Password</label>
<input id="secret_token" name="secret_token" type="password" autocomplete="current-password" required>
<button type="submit">Log in</button>
</form>
{{end}}
</body>
</html>
`))

func loginPage(status int, f loginForm) api.Response {
	var b bytes.Buffer
	// The template is ours and writes to memory: it cannot fail.
	_ = loginTemplate.Execute(&b, f)
	return api.Response{Status: status, ContentType: "text/html; charset=utf-8", Body: b.Bytes(), Header: http.Header{
		// No scripts at all, and no other site may frame the page to have somebody click in it.
		"Content-Security-Policy": {"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"},
		// The key stands in the page's address.
		"Referrer-Policy": {"no-referrer"},
		"X-Frame-Options": {"DENY"},
	}}
}

// sameOrigin refuses forms that another site sends: somebody could be logged in as somebody else without knowing.
var sameOrigin = http.NewCrossOriginProtection()

// browserLogin takes the form of the login page: the login waits for the client whose key came with it.
func (s *surface) browserLogin(ctx context.Context, body []byte) (api.Response, error) {
	r := api.From(ctx).HTTP
	if err := sameOrigin.Check(r); err != nil {
		return api.Response{}, problem.Wrap(problem.Forbidden, err, "this form comes from another site")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || api.CheckBody(body) != nil {
		return api.Response{}, problem.New(problem.Invalid, "the form cannot be read")
	}
	page := loginForm{Key: form.Get(redeemKey), Action: secretPath, User: form.Get("username")}
	if !goodRedeemKey(page.Key) || page.User == "" || form.Get("secret_token") == "" {
		return api.Response{}, problem.New(problem.Invalid, "the form lacks a field, or its key is not valid")
	}
	session, err := s.Login.Sessions.Login(ctx, r, page.User, form.Get("secret_token"))
	switch {
	case problem.Is(err, problem.Unauthenticated):
		page.Problem = "User or password is wrong."
		refused := loginPage(http.StatusUnauthorized, page)
		api.ChallengePage(refused.Header)
		return refused, nil
	case problem.Is(err, problem.TooMany):
		page.Problem = "Too many wrong passwords. Try again later."
		return loginPage(http.StatusTooManyRequests, page), nil
	case err != nil:
		return api.Response{}, err
	}
	err = s.Store.CreateLoginRedemption(ctx, &models.LoginRedemption{Hash: models.HashToken(page.Key), SubjectKind: session.Subject.Kind,
		SubjectID: session.Subject.ID, Role: session.Subject.Token.Role, Scopes: session.Subject.Token.Scopes,
		TokenExpiresAt: session.Expires, ExpiresAt: s.Store.Now().Add(redeemTime)})
	if err != nil {
		return api.Response{}, err
	}
	page.Done = true
	res := loginPage(http.StatusOK, page)
	res.Header.Set("Set-Cookie", session.Cookie(s.Login.secure(r)).String())
	return res, nil
}
