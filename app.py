"""The app: settings from the environment, one service, one page."""

from merging import zoo
from ui.page import build, launch
from ui.service import DeviceService
from ui.settings import Settings


def main() -> None:
    """Open the page at once on shipped results; the models are prepared and loaded meanwhile."""
    service = DeviceService(Settings.from_environment(zoo.home()))
    service.start()
    launch(build(service))


if __name__ == "__main__":
    main()
