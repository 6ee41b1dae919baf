package applet

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

func (r *scriptRun) status(ctx context.Context, c *command) error {
	kinds := c.hex("-element")[0]
	for _, kind := range []gp.Kind{gp.IssuerDomain, gp.Application, gp.LoadFile, gp.LoadFileWithModules} {
		if kinds&byte(kind) == 0 {
			continue
		}
		entries, err := r.domain.Status(ctx, kind, nil)
		if err != nil && !errors.Is(err, gp.ErrIncomplete) {
			return err
		}
		for i := range entries {
			e := &entries[i]
			r.say(fmt.Sprintf("%s\t%s\t%s", e.AID, e.State(), e.Privileges))
			for _, module := range e.Modules {
				r.say("\t" + module.String())
			}
		}
		if err != nil {
			r.say("the card's list is cut off here")
		}
	}
	return nil
}

// send sends an APDU as it is written; one that protects itself is not
// protected again.
func (r *scriptRun) send(ctx context.Context, c *command) error {
	cmd, _, err := iso7816.ParseCommand(c.hex("-apdu"))
	if err != nil {
		return problem.Wrap(problem.Usage, err, "-apdu")
	}
	var answer []byte
	if c.number("-sc") == 0 {
		answer, err = gp.Transmit(ctx, r.ch, cmd)
	} else {
		answer, err = r.domain.Transmit(ctx, cmd)
	}
	r.show(answer)
	return err
}

// data are the commands that read a data object.
func (r *scriptRun) data(ctx context.Context, c *command) error {
	var tag iso7816.Tag
	switch c.name {
	case "get_key_information_templates":
		tag = iso7816.Tag(c.number("-keytemplate"))<<8 | 0xE0
	case "get_extended_card_resources_information":
		tag = 0xFF21
	case "get_card_recognition_data":
		tag = 0x66
	case "get_secure_channel_protocol_details":
		protocols, err := r.domain.Protocols(ctx)
		for _, p := range protocols {
			r.say(p.String())
		}
		r.told = protocols
		return err
	default:
		for _, b := range c.hex("-identifier") {
			tag = tag<<8 | iso7816.Tag(b)
		}
	}
	answer, err := r.domain.GetData(ctx, tag)
	r.show(answer)
	return err
}

func (r *scriptRun) show(answer []byte) {
	if len(answer) > 0 {
		r.say(fmt.Sprintf("%X", answer))
	}
}
