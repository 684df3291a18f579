package models

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newDelivery(t *testing.T, s *Store, change func(*NewDelivery)) *Delivery {
	t.Helper()
	n := NewDelivery{Kind: DeliveryWebhook, Source: DeliveryOfHook, Event: "NEW_UPLOAD", NamespaceID: "ns", Target: "https://example.com/…",
		Body: `{"a":1}`, Secret: DeliverySecret{URL: "https://example.com/hooks/hunter2", Secret: "hunter3"}}
	if change != nil {
		change(&n)
	}
	d, isNew, err := s.CreateDelivery(t.Context(), n)
	require.NoError(t, err)
	require.True(t, isNew)
	return d
}

// A crash never loses a delivery that its cause committed, and never makes one of a cause that did not happen.
func TestDeliveryIsOneWithItsCause(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		s.UseEncrypter(plainSecrets{})
		ctx := t.Context()
		var id string
		undone := errors.New("undone")
		require.ErrorIs(t, s.Tx(ctx, func(tx *Store) error {
			id = newDelivery(t, tx, nil).ID
			return undone
		}), undone)
		_, err := s.DeliveryByID(ctx, id)
		require.ErrorIs(t, err, ErrNotFound)

		d := newDelivery(t, s, func(n *NewDelivery) { n.DedupeKey = "once" })
		again, isNew, err := s.CreateDelivery(ctx, NewDelivery{Kind: DeliveryWebhook, Source: DeliveryOfHook, DedupeKey: "once"})
		require.NoError(t, err)
		require.False(t, isNew)
		require.Equal(t, d.ID, again.ID)
		// The transaction of somebody who comes second goes on.
		require.NoError(t, s.Tx(ctx, func(tx *Store) error {
			if _, _, err := tx.CreateDelivery(ctx, NewDelivery{Kind: DeliveryWebhook, Source: DeliveryOfHook, DedupeKey: "once"}); err != nil {
				return err
			}
			newDelivery(t, tx, nil)
			return nil
		}))
		list, err := s.ListDeliveries(ctx, DeliveryFilter{NamespaceID: "ns"})
		require.NoError(t, err)
		require.Len(t, list, 2)
		_, _, err = s.CreateDelivery(ctx, NewDelivery{Body: string(make([]byte, MaxDeliveryBody+1))})
		require.Error(t, err)
	})
}

func TestDeliverySecretsAreSealed(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		_, _, err := s.CreateDelivery(ctx, NewDelivery{Kind: DeliveryMail})
		require.ErrorIs(t, err, ErrNoKey)
		s.UseEncrypter(plainSecrets{})
		d := newDelivery(t, s, func(n *NewDelivery) { n.Body, n.ShownBody = "code 4711", "code ***" })
		require.Equal(t, "code ***", d.Body)
		d, err = s.DeliveryByID(ctx, d.ID)
		require.NoError(t, err)
		secret, err := s.DeliverySecret(d)
		require.NoError(t, err)
		require.Equal(t, DeliverySecret{URL: "https://example.com/hooks/hunter2", Secret: "hunter3", Body: "code 4711"}, secret)
		// Sealed for this row: nobody can read it through another.
		other := newDelivery(t, s, nil)
		other.Sealed = d.Sealed
		_, err = s.DeliverySecret(other)
		require.Error(t, err)
		list, err := s.ListDeliveries(ctx, DeliveryFilter{NamespaceID: "ns", Limit: 1})
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Empty(t, list[0].Sealed)
		require.Empty(t, list[0].Body)
		require.Equal(t, other.ID, list[0].ID, "newest first")
	})
}

func TestDeliveryAttemptsAreCountedWhereTheyBegin(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		s.UseEncrypter(plainSecrets{})
		ctx := t.Context()
		d := newDelivery(t, s, nil)
		n, err := s.BeginDeliveryAttempt(ctx, d.ID)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		// The worker is lost here: the next attempt is the second.
		n, err = s.BeginDeliveryAttempt(ctx, d.ID)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		c.move(time.Second)
		due := s.Now().Add(time.Minute)
		require.NoError(t, s.EndDeliveryAttempt(ctx, DeliveryAttempt{DeliveryID: d.ID, Number: 2, StatusCode: 500, Answer: "\xffno\x00"}, StatusRunning, "answered 500", &due))
		d, err = s.DeliveryByID(ctx, d.ID)
		require.NoError(t, err)
		require.Equal(t, StatusRunning, d.Status)
		require.Equal(t, due, d.NextAttemptAt.UTC())
		n, err = s.BeginDeliveryAttempt(ctx, d.ID)
		require.NoError(t, err)
		require.NoError(t, s.EndDelivery(ctx, d.ID, StatusCancelled, "cancelled"))
		// It was on its way: what came back is recorded, the end stands.
		require.NoError(t, s.EndDeliveryAttempt(ctx, DeliveryAttempt{DeliveryID: d.ID, Number: n, StatusCode: 200}, StatusOK, "", nil))
		_, err = s.BeginDeliveryAttempt(ctx, d.ID)
		require.ErrorIs(t, err, ErrFinal)
		require.ErrorIs(t, s.EndDelivery(ctx, d.ID, StatusFailed, ""), ErrFinal)
		d, err = s.DeliveryByID(ctx, d.ID)
		require.NoError(t, err)
		require.Equal(t, StatusCancelled, d.Status)
		require.Equal(t, 3, d.Attempts)
		list, err := s.DeliveryAttempts(ctx, d.ID)
		require.NoError(t, err)
		require.Len(t, list, 3)
		require.Nil(t, list[0].FinishedAt)
		require.Equal(t, "\uFFFDno\uFFFD", list[1].Answer)
		require.Equal(t, 200, list[2].StatusCode)
	})
}

func TestOpenDeliveriesAreTakenOnceAndOldOnesRemoved(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		s.UseEncrypter(plainSecrets{})
		ctx := t.Context()
		fresh := newDelivery(t, s, nil)
		child := newDelivery(t, s, func(n *NewDelivery) { n.Child = true })
		started := newDelivery(t, s, nil)
		require.NoError(t, s.DeliveryStarted(ctx, started.ID))
		take := func() []string {
			now := s.Now()
			list, err := s.TakeDeliveries(ctx, now.Add(-time.Second), now.Add(-time.Minute), 10)
			require.NoError(t, err)
			var ids []string
			for _, d := range list {
				ids = append(ids, d.ID)
				require.NotEmpty(t, d.Sealed)
			}
			return ids
		}
		require.Empty(t, take(), "whoever made it starts it")
		c.move(2 * time.Second)
		require.Equal(t, []string{fresh.ID}, take())
		require.Empty(t, take())
		c.move(2 * time.Minute)
		require.ElementsMatch(t, []string{fresh.ID, child.ID, started.ID}, take())

		require.NoError(t, s.EndDelivery(ctx, fresh.ID, StatusOK, ""))
		c.move(time.Hour)
		n, err := s.DeleteOldDeliveries(ctx, s.Now().Add(-2*time.Hour), 10)
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = s.DeleteOldDeliveries(ctx, s.Now(), 10)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	})
}

// A step that ran as a delivery says how it ended for as long as its execution is there.
func TestStepsOutliveTheirDeliveries(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		s.UseEncrypter(plainSecrets{})
		ctx := t.Context()
		d := newDelivery(t, s, func(n *NewDelivery) { n.Source, n.Child = DeliveryOfStep, true })
		other := newDelivery(t, s, func(n *NewDelivery) { n.Source, n.Child = DeliveryOfStep, true })
		for i, id := range []string{d.ID, other.ID, ""} {
			require.NoError(t, s.writer(ctx).Create(&ExecutionStep{ExecutionID: "e", Step: i, Name: "call", Type: StepWebhook, Status: StatusRunning, DeliveryID: id}).Error)
		}
		// A retry has taken the step over.
		require.NoError(t, s.writer(ctx).Create(&ExecutionStep{ExecutionID: "retry", Name: "call", Type: StepWebhook, Status: StatusRunning, DeliveryID: d.ID, Kept: true}).Error)
		require.NoError(t, s.EndDelivery(ctx, d.ID, StatusFailed, "it answered 404"))
		before, err := s.StepsOf(ctx, "e")
		require.NoError(t, err)
		c.move(time.Hour)
		n, err := s.DeleteOldDeliveries(ctx, s.Now(), 10)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		after, err := s.StepsOf(ctx, "e")
		require.NoError(t, err)
		require.Equal(t, []string{"", "failed", "it answered 404"}, []string{after[0].DeliveryID, string(after[0].Status), after[0].Reason})
		require.Equal(t, before[0].FinishedAt.UTC(), after[0].FinishedAt.UTC())
		require.Equal(t, before[0].StartedAt.UTC(), after[0].StartedAt.UTC())
		require.Equal(t, before[1], after[1], "one that is open stays")
		require.Equal(t, before[2], after[2])
		retry, err := s.StepsOf(ctx, "retry")
		require.NoError(t, err)
		require.Equal(t, StatusFailed, retry[0].Status)
	})
}
