"""/v1/devices: where people's push messages go."""

from flask import Response

from app.api import problems
from app.api.answers import answer
from app.api.calls import Call
from app.api.models.devices import Devices, NewDevice, RefreshedToken, Registered, Token, TokenToCheck
from app.api.operations import Reply, Resource, Share
from app.bootstrap import App
from app.services.device_check import CheckView
from app.services.devices import DeviceView
from app.services.views import Page

resource = Resource("devices", "The devices that people take push messages on.")

_WRITE = "devices:write"


@resource.operation(
    "GET",
    "/v1/devices",
    scope="devices:read",
    query=Devices,
    replies={200: Reply("One page, newest first", Page[DeviceView])},
)
def search(app: App, call: Call, query: Devices) -> Response:  # noqa: ARG001 - A view's signature.
    """List devices.

    Those of a recipient, or all; one that was not seen lately `is_stale`.
    """
    return answer(200, app.devices.search(**vars(query)))


@resource.operation(
    "POST",
    "/v1/devices",
    scope=_WRITE,
    body=NewDevice,
    replies={
        201: Reply("It is registered now", Registered),
        200: Reply("It was known; this is how it is registered now", Registered),
    },
)
def register(app: App, call: Call, body: NewDevice) -> Response:  # noqa: ARG001 - A view's signature.
    """Register a device.

    By its token; again each time that the app starts, which says too that the device is still there.
    """
    view, is_new = app.devices.register(body.draft())
    return answer(201 if is_new else 200, {"device": view, "is_new": is_new})


@resource.operation(
    "GET",
    "/v1/devices/<id:device>",
    scope="devices:read",
    replies={200: Reply("The device", DeviceView)},
)
def look(app: App, call: Call, device: int) -> Response:  # noqa: ARG001 - A view's signature.
    """Look at a device."""
    return answer(200, app.devices.get(device))


@resource.operation(
    "POST",
    "/v1/devices/refresh",
    scope=_WRITE,
    body=RefreshedToken,
    problems=(problems.NOT_FOUND,),
    replies={200: Reply("The device with its new token", DeviceView)},
)
def refresh(app: App, call: Call, body: RefreshedToken) -> Response:  # noqa: ARG001 - A view's signature.
    """Put a new token in the place of one.

    The device stays its owner's and follows the same topics.
    """
    return answer(200, app.devices.refresh(body.token, body.new_token))


@resource.operation(
    "POST",
    "/v1/devices/deactivate",
    scope=_WRITE,
    body=Token,
    problems=(problems.NOT_FOUND,),
    replies={200: Reply("The device, out of use", DeviceView)},
)
def deactivate(app: App, call: Call, body: Token) -> Response:  # noqa: ARG001 - A view's signature.
    """Take a device out of use.

    As when its owner logs out. Registering it again brings it back, but not into its topics.
    """
    return answer(200, app.devices.deactivate(body.token))


@resource.operation(
    "POST",
    "/v1/devices/validate",
    scope=_WRITE,
    body=TokenToCheck,
    share=Share.UPLOADS,
    problems=(problems.NO_GATEWAY, problems.BUSY),
    replies={200: Reply("What the gateway says", CheckView)},
)
def validate(app: App, call: Call, body: TokenToCheck) -> Response:  # noqa: ARG001 - A view's signature.
    """Ask the gateway whether it would reach a device.

    By a dry run: nothing is sent. A device that is gone is out of use from then on.
    """
    return answer(200, app.device_check.check(body.token, body.platform))
