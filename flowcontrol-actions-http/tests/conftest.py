pytest_plugins = ["flowcontrol.testing.plugin"]
