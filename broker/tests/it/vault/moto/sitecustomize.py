"""Read by moto's interpreter when it starts: one more page, which shows whose keys there are."""

import json

from moto.iam.models import iam_backends
from moto.moto_api._internal import urls

ACCOUNT = "123456789012"


def keys(_request, _url, _headers):
    users = iam_backends[ACCOUNT]["aws"].users.values()
    return 200, {}, json.dumps({user.name: [key.access_key_id for key in user.access_keys] for user in users})


urls.url_paths["{0}/moto-api/keys"] = keys
