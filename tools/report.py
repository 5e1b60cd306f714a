"""The command ``rapidnet report``, see rapidnet_mm/commands."""

from rapidnet_mm.commands.main import tool

if __name__ == '__main__':
    tool('report')
