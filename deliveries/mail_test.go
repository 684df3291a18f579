package deliveries

import (
	"io"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/mailer"
	"slipway/internal/testenv"
	"slipway/models"
)

func (k *kit) mailServer() *testenv.SMTPServer {
	k.t.Helper()
	s := testenv.SMTP(k.t)
	var err error
	k.service.Mail, err = mailer.Parse("smtp://"+s.Address()+"?starttls=off", "Slipway <slipway@example.com>")
	require.NoError(k.t, err)
	return s
}

func TestMailsOfNotifications(t *testing.T) {
	k := onSQLite(t)
	s := k.mailServer()
	rule := k.rule(models.Notification{Name: "mails", Kind: models.DeliveryMail, Addresses: []string{"ops@example.com"}, Events: []string{"failed"}})
	e := k.execution(models.KindBuild, "wéb\r\nBcc: evil@example.com", nil)
	k.ends(e, models.StatusFailed, "exit 3")
	require.NoError(t, k.service.Expand(t.Context()))
	list, err := k.store.ListDeliveries(t.Context(), models.DeliveryFilter{NotificationID: rule.ID})
	require.NoError(t, err)
	require.Len(t, list, 1)
	out, _, _ := k.attempt(&list[0])
	require.True(t, out.Ok())
	require.Len(t, s.Mails(), 1)
	m, err := mail.ReadMessage(strings.NewReader(s.Mails()[0].Data))
	require.NoError(t, err)
	require.Empty(t, m.Header.Get("Bcc"))
	require.Equal(t, "<"+list[0].ID+"@example.com>", m.Header.Get("Message-ID"))
	require.Equal(t, list[0].ID, m.Header.Get(HeaderDelivery))
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	require.NoError(t, err)
	require.Contains(t, string(text), "exit 3")
	require.Contains(t, string(text), "https://slipway.example.com/api/v1/slipway/executions/"+e.ID+"/")
}

func TestMailsThatAreRefused(t *testing.T) {
	k := onSQLite(t)
	mailTo := func() *models.Delivery {
		return k.webhook("", func(n *models.NewDelivery) {
			n.Kind, n.Target, n.Subject, n.Body, n.Secret = models.DeliveryMail, "ann@example.com", "s", "b", models.DeliverySecret{To: "ann@example.com"}
		})
	}
	out, again, _ := k.attempt(mailTo())
	require.Nil(t, again)
	require.Contains(t, out.Reason, "SLIPWAY_SMTP_URL")
	s := k.mailServer()
	reply := "550 no such user"
	s.Reply = func(command string) string {
		if strings.HasPrefix(command, "RCPT") {
			return reply
		}
		return ""
	}
	out, again, a := k.attempt(mailTo())
	require.Nil(t, again)
	require.Equal(t, models.StatusFailed, out.Status)
	require.Equal(t, 550, a.StatusCode)
	require.Equal(t, "no such user", a.Answer)
	reply = "450 greylisted"
	d := mailTo()
	_, again, _ = k.attempt(d)
	require.NotNil(t, again)
	reply = ""
	out, _, _ = k.attempt(d)
	require.True(t, out.Ok())
	require.Len(t, s.Mails(), 1)
}
