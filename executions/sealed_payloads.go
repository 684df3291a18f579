package executions

import (
	"context"
	"errors"
	"fmt"
	"slices"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
)

// SealedInTemporal is what is open in a Temporal namespace and holds payloads under certain keys.
type SealedInTemporal struct {
	// Workflows are the ids of open workflows, and Schedules those of schedules, both sorted.
	Workflows, Schedules []string
}

// FindSealedPayloads looks through the histories of all open workflows, and through all schedules, for payloads that the codec
// made and under says of: which key encrypted them, say. It reads every one of these histories, whoever began it. Histories of
// workflows that have ended are not looked at: only people read them.
func FindSealedPayloads(ctx context.Context, c client.Client, namespace string, under func(sealed []byte) bool) (SealedInTemporal, error) {
	var found SealedInTemporal
	var page []byte
	for more := true; more; more = len(page) > 0 {
		list, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: namespace, PageSize: 1000, NextPageToken: page, Query: `ExecutionStatus = "Running"`})
		if err != nil {
			return found, fmt.Errorf("list the open workflows: %w", err)
		}
		page = list.GetNextPageToken()
		for _, w := range list.GetExecutions() {
			id := w.GetExecution().GetWorkflowId()
			has, err := historyHas(ctx, c, id, w.GetExecution().GetRunId(), under)
			if err != nil {
				return found, fmt.Errorf("read the history of workflow %s: %w", id, err)
			}
			if has {
				found.Workflows = append(found.Workflows, id)
			}
		}
	}
	slices.Sort(found.Workflows)
	err := eachSchedule(ctx, c, namespace, func(id string, s *workflowservice.DescribeScheduleResponse) error {
		has := false
		err := eachSealed(s.GetSchedule(), func(p *commonpb.Payload) error { has = has || under(p.GetData()); return nil })
		if has {
			found.Schedules = append(found.Schedules, id)
		}
		return err
	})
	slices.Sort(found.Schedules)
	return found, err
}

func historyHas(ctx context.Context, c client.Client, id, run string, under func([]byte) bool) (has bool, err error) {
	events := c.GetWorkflowHistory(ctx, id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for !has && events.HasNext() {
		e, err := events.Next()
		var gone *serviceerror.NotFound
		if errors.As(err, &gone) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if err := eachSealed(e, func(p *commonpb.Payload) error { has = has || under(p.GetData()); return nil }); err != nil {
			return false, err
		}
	}
	return has, nil
}

// ResealSchedules encrypts anew, with the key that encrypts now, what schedules start their workflows with and under says of:
// they live for years, and each workflow begins with that. What cannot be decrypted, of another installation in the same
// namespace, stays as it is. It gives how many schedules it changed.
func ResealSchedules(ctx context.Context, c client.Client, namespace string, sealer Sealer, under func(sealed []byte) bool) (changed int, err error) {
	seals := codec{sealer}
	err = eachSchedule(ctx, c, namespace, func(id string, s *workflowservice.DescribeScheduleResponse) error {
		again := false
		if err := eachSealed(s.GetSchedule(), func(p *commonpb.Payload) error {
			if !under(p.GetData()) {
				return nil
			}
			plain, err := seals.Decode([]*commonpb.Payload{p})
			if err != nil {
				return nil //nolint:nilerr // not this installation's
			}
			sealed, err := seals.Encode(plain)
			if err != nil {
				return err
			}
			p.Data, again = sealed[0].GetData(), true
			return nil
		}); err != nil || !again {
			return err
		}
		// Whoever changes it meanwhile writes it anew, so that the conflict is none.
		_, err := c.WorkflowService().UpdateSchedule(ctx, &workflowservice.UpdateScheduleRequest{Namespace: namespace, ScheduleId: id, Schedule: s.GetSchedule(),
			ConflictToken: s.GetConflictToken(), Identity: "slipway admin key"})
		if err != nil {
			return fmt.Errorf("change schedule %s: %w", id, err)
		}
		changed++
		return nil
	})
	return changed, err
}

// eachSchedule visits all schedules of a namespace.
func eachSchedule(ctx context.Context, c client.Client, namespace string, visit func(id string, s *workflowservice.DescribeScheduleResponse) error) error {
	list, err := c.ScheduleClient().List(ctx, client.ScheduleListOptions{PageSize: 1000})
	if err != nil {
		return fmt.Errorf("list the schedules: %w", err)
	}
	for list.HasNext() {
		e, err := list.Next()
		if err != nil {
			return fmt.Errorf("list the schedules: %w", err)
		}
		s, err := c.WorkflowService().DescribeSchedule(ctx, &workflowservice.DescribeScheduleRequest{Namespace: namespace, ScheduleId: e.ID})
		var gone *serviceerror.NotFound
		if errors.As(err, &gone) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read schedule %s: %w", e.ID, err)
		}
		if err := visit(e.ID, s); err != nil {
			return err
		}
	}
	return nil
}

// eachSealed visits the payloads in a message that the codec made, however deep.
func eachSealed(m proto.Message, visit func(*commonpb.Payload) error) error {
	return protorange.Range(m.ProtoReflect(), func(v protopath.Values) error {
		at := v.Index(-1)
		if at.Step.Kind() != protopath.RootStep && at.Step.Kind() != protopath.FieldAccessStep && at.Step.Kind() != protopath.ListIndexStep && at.Step.Kind() != protopath.MapIndexStep {
			return nil
		}
		message, ok := at.Value.Interface().(interface{ Interface() proto.Message })
		if !ok {
			return nil
		}
		p, ok := message.Interface().(*commonpb.Payload)
		if !ok || string(p.GetMetadata()[converter.MetadataEncoding]) != encodingEncrypted {
			return nil
		}
		return visit(p)
	})
}
