"""The one place that knows the template engine.

`environment.compile_template` turns a source into a `Template`; what a template may say is listed in
`syntax`, what its filters may cost is counted by `budget` and bounded in `filters`.
"""
