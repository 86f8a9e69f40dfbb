"""FLOWCONTROL_HTTP: what is wrong is told by checks, and what is changed counts at once."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from flowcontrol.exceptions import ConfigurationError

from flowcontrol_actions_http import conf, pools, tls


def told(*, deploy=False):
    return {
        f"{one.id}: {one.msg}"
        for one in run_checks(tags=["flowcontrol"], include_deployment_checks=deploy)
        if one.id.startswith("flowcontrol_actions_http.")
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"GUARD": "no"}, '"GUARD"] has to be True or False'),
        ({"NETWORKS": "10.0.0.0/8"}, "in brackets"),
        ({"NETWORKS": ["10.0.0.1/8"]}, "has host bits set"),
        ({"NETWORKS": ["169.254.169.254/32"]}, "cannot open 169.254.169.254/32"),
        ({"NETWORKS": ["fe80::/64"]}, "cannot open fe80::/64"),
        ({"HOSTS": ["http://a.test"]}, "without scheme and port"),
        ({"HOSTS": ["a.test:80"]}, "without scheme and port"),
        ({"HOSTS": ["*"]}, "without scheme and port"),
        ({"HOSTS": ["größe.test"]}, "xn--"),
        ({"PORTS": [0]}, "from 1 to 65,535"),
        ({"PORTS": 80}, "list of ports"),
        ({"PROXY": "socks5://user:hush@a.test"}, "URL of a proxy"),
        ({"CA_FILE": "/nowhere.pem"}, "path of a file that there is"),
        ({"CLIENT_CERTIFICATES": ["a"]}, "mapping of hosts"),
        ({"CLIENT_CERTIFICATES": {"a.test": "/nowhere.pem"}}, "path of a file that there is"),
        ({"TOTAL_SECONDS": 0}, "number of seconds"),
        ({"TOTAL_SECONDS": True}, "number of seconds"),
        ({"READ_SECONDS": float("nan")}, "number of seconds"),
        ({"MAX_RESPONSE_BYTES": "1 MB"}, "whole number"),
        ({"USER_AGENT": "a\nb"}, "text on one line"),
        ([("GUARD", True)], "has to be a mapping"),
        ({"BASE_URL": "shop.example.org"}, "under which people reach this site"),
        ({"BASE_URL": "https://shop.example.org/?a=1"}, "under which people reach this site"),
        ({"BASE_URL": "javascript:alert(1)"}, "under which people reach this site"),
        ({"CALL_RETENTION_DAYS": 0}, "from 1 to 36,500"),
        ({"REPLY_HEADERS": "X-Request-Id"}, "in brackets"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_what_it_has_to_be(settings, given, says):
    settings.FLOWCONTROL_HTTP = given
    (problem,) = told()
    assert problem.startswith("flowcontrol_actions_http.E001: FLOWCONTROL_HTTP")
    assert says in problem
    assert "hush" not in problem
    with pytest.raises(ConfigurationError):
        for one in conf.SETTINGS:
            conf.get(one.name)


def test_what_is_said_by_default_is_right(settings):
    settings.FLOWCONTROL_HTTP = {"BASE_URL": None}
    assert told(deploy=True) == set()
    assert conf.policy().is_on


def test_a_key_that_does_not_exist_is_told(settings):
    settings.FLOWCONTROL_HTTP = {"GARD": False}
    (problem,) = told()
    assert problem == 'flowcontrol_actions_http.W001: FLOWCONTROL_HTTP["GARD"] does not exist.'


def test_a_guard_that_is_off_is_told_before_a_deployment(settings):
    settings.FLOWCONTROL_HTTP = {"GUARD": False, "BASE_URL": None}
    assert told() == set()
    (problem,) = told(deploy=True)
    assert problem.startswith("flowcontrol_actions_http.W002")


def test_a_network_may_be_wider_than_what_stays_closed_in_it(settings):
    settings.FLOWCONTROL_HTTP = {"NETWORKS": ["0.0.0.0/0", "fd00::/8"]}
    assert told() == set()


def test_a_change_of_the_settings_makes_new_connections(settings):
    settings.FLOWCONTROL_HTTP = {}
    profile = tls.profile("https", "a.test")
    before = pools.pool(profile)
    assert pools.pool(profile) is before
    settings.FLOWCONTROL_HTTP = {"GUARD": False}
    assert pools.pool(profile) is not before


def test_a_pair_of_files_is_a_client_certificate(settings, tmp_path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    settings.FLOWCONTROL_HTTP = {
        "CLIENT_CERTIFICATES": {
            "*.A.test": [tmp_path / "cert.pem", tmp_path / "key.pem"],
            "b.a.test": str(tmp_path / "cert.pem"),
        }
    }
    found = conf.get("CLIENT_CERTIFICATES")
    assert found["*.a.test"] == (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    assert tls.profile("https", "b.a.test").certificate_of == "b.a.test"
    assert tls.profile("https", "c.a.test").certificate_of == "*.a.test"
    assert tls.profile("https", "a.test").certificate_of == ""


def test_that_no_link_can_be_made_is_told_before_the_deployment(settings):
    settings.FLOWCONTROL_HTTP = {}
    (warning,) = told(deploy=True)
    assert warning.startswith("flowcontrol_actions_http.W003: No step http.wait_for_callback can make a link")
    assert told() == set()
