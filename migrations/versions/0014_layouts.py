"""Layouts and partials beside templates, and what of them a version was made with."""

from alembic import op

revision = "0014"
down_revision = "0013"

# The name of the key stays: the release before this one names it when it saves a template.
_UP = """
ALTER TABLE message_templates
    ADD COLUMN kind text NOT NULL DEFAULT 'template'
        CONSTRAINT message_templates_kind_check CHECK (kind IN ('template', 'layout', 'partial')),
    ADD COLUMN message_type text
        CONSTRAINT message_templates_message_type_check
        CHECK (message_type IN ('emergency', 'alert', 'newsletter', 'campaign', 'transactional')),
    ADD COLUMN second_person boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT message_templates_slug_key,
    ADD CONSTRAINT message_templates_slug_key UNIQUE NULLS NOT DISTINCT (slug, channel, locale, kind);

ALTER TABLE message_template_versions
    ADD COLUMN markup text NOT NULL DEFAULT 'html'
        CONSTRAINT message_template_versions_markup_check CHECK (markup IN ('html', 'mjml')),
    ADD COLUMN taken_in jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN compiled_html text,
    ADD COLUMN compiled_text text,
    ADD COLUMN note text;
"""

_DOWN = """
DELETE FROM message_templates WHERE kind <> 'template';
ALTER TABLE message_templates
    DROP CONSTRAINT message_templates_slug_key,
    ADD CONSTRAINT message_templates_slug_key UNIQUE NULLS NOT DISTINCT (slug, channel, locale),
    DROP COLUMN kind,
    DROP COLUMN message_type,
    DROP COLUMN second_person;

-- Before this step what was written was what is sent.
UPDATE message_template_versions
SET body_html = coalesce(compiled_html, body_html), body_text = coalesce(compiled_text, body_text)
WHERE compiled_html IS NOT NULL OR compiled_text IS NOT NULL;
ALTER TABLE message_template_versions
    DROP COLUMN markup,
    DROP COLUMN taken_in,
    DROP COLUMN compiled_html,
    DROP COLUMN compiled_text,
    DROP COLUMN note;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
